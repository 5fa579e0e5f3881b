"""What Neuroglancer shows of an atlas, computed chunk by chunk when it is asked for."""
