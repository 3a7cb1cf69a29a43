-- Shared by every ledger script: it is put in front of each. Keys are built here, so this needs one node.
--
--   job:<id>              hash: what `LedgerJob` and `JobView` hold, plus entries, finished, in_flight
--   waiting:<queue>:<id>  list of entries          finished:<id>  hash: entry -> result that won
--   entry:<id>/<entry>    hash, while in flight    attempts:<id>  hash: entry -> attempts used up
--   sent:<queue>          zset <id>/<entry> by time sent, not begun
--   running:<queue>       zset <id>/<entry> by deadline
--   owners:<queue>        zset of owners with waiting entries, by their entries in flight
--   load:<queue>          hash: owner -> entries in flight
--   turn:<queue>:<owner>  zset of that owner's jobs with waiting entries, by priority, then turn
--   suspects:<id>         hash: "17.4" -> deaths   began:<queue>  list "<time sent> <time begun>"
local P = 'triptych:'
local CONTROL = 'control'
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6

local function new_token(nonce)
  -- From the clock, never from a counter: a rolled-back append-only file would hand a counter out again.
  return string.format('%08x%05x', tonumber(clock[1]), tonumber(clock[2])) .. nonce
end

local function number(text) return tonumber(text or 0) or 0 end
local function job_key(id) return P .. 'job:' .. id end
local function job_field(id, field) return redis.call('HGET', job_key(id), field) end
local function entry_key(id, entry) return P .. 'entry:' .. id .. '/' .. entry end
local function waiting_key(queue, id) return P .. 'waiting:' .. queue .. ':' .. id end

local function is_suspect(entry) return string.match(entry, '^%d+%.%d+$') ~= nil end
local function is_shard(entry) return string.match(entry, '^%d+$') ~= nil end
local function is_work(entry) return is_shard(entry) or is_suspect(entry) end

local ENDED = { completed = true, failed = true, cancelled = true, expired = true }

local function record(id, entry)
  local flat = redis.call('HGETALL', entry_key(id, entry))
  if #flat == 0 then return nil end
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

-- Turns ------------------------------------------------------------------------------------------------
local function wake(queue, owner, id)
  if queue ~= CONTROL and job_field(id, 'paused') == '1' then return end
  if redis.call('LLEN', waiting_key(queue, id)) == 0 then return end
  local turn = P .. 'turn:' .. queue .. ':' .. owner
  if not redis.call('ZSCORE', turn, id) then
    local place = redis.call('INCR', P .. 'turns') - number(job_field(id, 'priority')) * 1e13
    redis.call('ZADD', turn, place, id)
  end
  redis.call('ZADD', P .. 'owners:' .. queue, number(redis.call('HGET', P .. 'load:' .. queue, owner)), owner)
end

local function unwake(queue, owner, id)
  local turn = P .. 'turn:' .. queue .. ':' .. owner
  redis.call('ZREM', turn, id)
  if redis.call('ZCARD', turn) == 0 then redis.call('ZREM', P .. 'owners:' .. queue, owner) end
end

local function wait_in_line(command, queue, owner, id, entry)
  redis.call(command, waiting_key(queue, id), entry)
  redis.call('HINCRBY', P .. 'backlog', queue, 1)
  wake(queue, owner, id)
end
local function wait_first(queue, owner, id, entry) wait_in_line('LPUSH', queue, owner, id, entry) end
local function wait_last(queue, owner, id, entry) wait_in_line('RPUSH', queue, owner, id, entry) end

local function stop_waiting(queue, owner, id, entry)
  local removed = redis.call('LREM', waiting_key(queue, id), 0, entry)
  if removed == 0 then return false end
  redis.call('HINCRBY', P .. 'backlog', queue, -removed)
  if redis.call('LLEN', waiting_key(queue, id)) == 0 then unwake(queue, owner, id) end
  return true
end

local function clear_waiting(queue, owner, id)
  redis.call('HINCRBY', P .. 'backlog', queue, -redis.call('LLEN', waiting_key(queue, id)))
  redis.call('DEL', waiting_key(queue, id))
  unwake(queue, owner, id)
end

-- In flight --------------------------------------------------------------------------------------------
local function add_load(queue, owner, by)
  local load = redis.call('HINCRBY', P .. 'load:' .. queue, owner, by)
  if load <= 0 then redis.call('HDEL', P .. 'load:' .. queue, owner) end
  if redis.call('ZSCORE', P .. 'owners:' .. queue, owner) then
    redis.call('ZADD', P .. 'owners:' .. queue, load, owner)
  end
end

local function counts_for_job(entry) return is_work(entry) or entry == 'plan' end

local function mark_sent(queue, owner, id, entry, token)
  redis.call('HSET', entry_key(id, entry), 'queue', queue, 'owner', owner, 'message', token, 'token', token,
    'state', 'sent', 'sends', 1, 'native', '')
  redis.call('ZADD', P .. 'sent:' .. queue, now, id .. '/' .. entry)
  add_load(queue, owner, 1)
  if counts_for_job(entry) then redis.call('HINCRBY', job_key(id), 'in_flight', 1) end
end

local function drop(id, entry, rec)
  redis.call('DEL', entry_key(id, entry))
  redis.call('ZREM', P .. 'sent:' .. rec.queue, id .. '/' .. entry)
  redis.call('ZREM', P .. 'running:' .. rec.queue, id .. '/' .. entry)
  add_load(rec.queue, rec.owner, -1)
  if counts_for_job(entry) and redis.call('EXISTS', job_key(id)) == 1 then
    redis.call('HINCRBY', job_key(id), 'in_flight', -1)
  end
end

-- Jobs -------------------------------------------------------------------------------------------------
local function settle(id)
  -- Lets the finaliser run once nothing of the job is left to do.
  local fields = redis.call('HMGET', job_key(id), 'state', 'in_flight', 'finished', 'entries', 'plan_token',
    'owner')
  local done = false
  if fields[1] == 'cancelling' then
    done = number(fields[2]) <= 0
  elseif fields[1] == 'running' then
    done = fields[5] ~= '' and number(fields[3]) >= number(fields[4])
  end
  if done and redis.call('HSETNX', job_key(id), 'finalising', 1) == 1 then
    wait_last(CONTROL, fields[6], id, 'finalise')
  end
end

local function members_of(id, zset)
  local found = {}
  for _, member in ipairs(redis.call('ZRANGE', zset, 0, -1)) do
    if string.sub(member, 1, #id + 1) == id .. '/' then found[#found + 1] = string.sub(member, #id + 2) end
  end
  return found
end

local function cancel_job(id, reason, message)
  local fields = redis.call('HMGET', job_key(id), 'state', 'finalising', 'queue', 'owner')
  local state, queue, owner = fields[1], fields[3], fields[4]
  if not state or ENDED[state] or state == 'cancelling' or fields[2] then return false end
  redis.call('HSET', job_key(id), 'state', 'cancelling', 'reason', reason, 'message', message)
  clear_waiting(queue, owner, id)
  clear_waiting(CONTROL, owner, id)
  for _, zset in ipairs({ queue, CONTROL }) do
    for _, entry in ipairs(members_of(id, P .. 'sent:' .. zset)) do
      drop(id, entry, record(id, entry))
    end
  end
  settle(id)
  return true
end

local function suspects_of(id, shard)
  local found = {}
  for _, entry in ipairs(redis.call('HKEYS', P .. 'suspects:' .. id)) do
    local of, item = string.match(entry, '^(%d+)%.(%d+)$')
    if of == shard then found[#found + 1] = item end
  end
  table.sort(found, function(a, b) return tonumber(a) < tonumber(b) end)
  return found
end

local function add_suspect(id, entry)
  if redis.call('HSETNX', P .. 'suspects:' .. id, entry, 0) == 0 then return false end -- 0 deaths when alone
  redis.call('HINCRBY', job_key(id), 'entries', 1)
  return true
end

local MAX_ATTEMPTS, MAX_QUIET_DEATHS = 5, 3

local function put_back(id, entry, rec, attempts, deaths)
  -- In line again, or to be buried.
  local given_up = attempts >= MAX_ATTEMPTS or deaths >= MAX_QUIET_DEATHS
  if not given_up or entry == 'finalise' or string.sub(entry, 1, 5) == 'bury.' then
    if is_suspect(entry) then
      wait_last(rec.queue, rec.owner, id, entry)
    else
      wait_first(rec.queue, rec.owner, id, entry)
    end
  elseif entry == 'plan' then
    cancel_job(id, 'internal_error', 'the job could not be planned; the workers\' log says why')
  else
    wait_last(CONTROL, rec.owner, id, 'bury.' .. entry)
  end
end

local function used_up(id, entry) return number(redis.call('HGET', P .. 'attempts:' .. id, entry)) end

local function account_death(id, entry, rec)
  -- A lease has ended: an attempt is used up, what was in native code becomes suspect.
  local attempts = redis.call('HINCRBY', P .. 'attempts:' .. id, entry, 1)
  local deaths = 0
  if rec.native ~= '' then
    if is_suspect(entry) then
      deaths = redis.call('HINCRBY', P .. 'suspects:' .. id, entry, 1)
    elseif is_shard(entry) then
      for item in string.gmatch(rec.native, '%d+') do
        local suspect = entry .. '.' .. item
        if add_suspect(id, suspect) then wait_last(rec.queue, rec.owner, id, suspect) end
      end
    end
  end
  return attempts, deaths
end

local function die(id, entry, rec)
  drop(id, entry, rec)
  local state = job_field(id, 'state')
  if not state or ENDED[state] then return end
  if state == 'cancelling' and counts_for_job(entry) then return settle(id) end
  local attempts, deaths = account_death(id, entry, rec)
  put_back(id, entry, rec, attempts, deaths)
end

local function server_run_id() return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') end
local function is_reconciled() return redis.call('GET', P .. 'run_id') == server_run_id() end
