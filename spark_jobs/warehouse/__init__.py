"""The warehouse: where tables lie, reading and writing them, current rows, cached queries, digests."""
