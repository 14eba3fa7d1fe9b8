"""The journal of requests and replies: records each after its reply, finds and replays entries.

building     exchange → row, keys masked
recorder     the queue of a worker and its writer thread
shared       one writer thread for the journals of many worlds
counts       counts of a worker that outlive it
journal      finds, counts and removes entries
decoding     the parts and checks of an entry's bodies
facts        an entry for JSON
replay       posts a stored request again
"""
