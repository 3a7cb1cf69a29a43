-- ARGV: id, entry, token, ... Returns for each: held (1 or 0), cancelled (1 or 0).
local answers = {}
for i = 1, #ARGV, 3 do
  local id, entry = ARGV[i], ARGV[i + 1]
  local rec = record(id, entry)
  local held = rec ~= nil and rec.state == 'running' and rec.token == ARGV[i + 2]
  if held then
    local deadline = string.format('%.6f', now + tonumber(rec.lease_s))
    redis.call('HSET', entry_key(id, entry), 'deadline', deadline)
    redis.call('ZADD', P .. 'running:' .. rec.queue, deadline, id .. '/' .. entry)
  end
  answers[#answers + 1] = held and 1 or 0
  answers[#answers + 1] = job_field(id, 'state') == 'cancelling' and 1 or 0
end
return answers
