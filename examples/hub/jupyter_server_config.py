"""Keep kernels' messages from other users of this machine. Its place: /etc/jupyter/."""

c = get_config()

# Else each kernel publishes its outputs on a TCP port of the loopback, unencrypted, and whoever
# has an account here can listen. These sockets are files in a folder of the user's own.
c.KernelManager.transport = "ipc"
