"""``make bundle``: everything an installation needs, in one tar that is carried to a machine without network.

Read :mod:`.assemble` first: it names the parts and their order. What runs on the other machine is ``install.sh`` alone.
"""
