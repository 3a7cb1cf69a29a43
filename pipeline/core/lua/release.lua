-- ARGV: id, entry, token, blame (1 or 0)
local id, entry = ARGV[1], ARGV[2]
local rec = record(id, entry)
if not rec or rec.token ~= ARGV[3] or rec.state ~= 'running' then return 0 end
drop(id, entry, rec)
local state = job_field(id, 'state')
if not state or ENDED[state] then return 0 end
if state == 'cancelling' and counts_for_job(entry) then
  settle(id)
  return 1
end
local attempts = redis.call('HINCRBY', P .. 'attempts:' .. id, entry, ARGV[4])
put_back(id, entry, rec, attempts, 0)
return 1
