-- ARGV: id. Returns a flat list: entry, result, ...; or nil while the ledger is not reconciled with storage.
if not is_reconciled() then return false end
return redis.call('HGETALL', P .. 'finished:' .. ARGV[1])
