"""What is a value sent as?"""
