-- Locks a row, so that the transaction writes something: PostgreSQL flushes nothing for one that did not.
SELECT 1 FROM skep.store FOR KEY SHARE
