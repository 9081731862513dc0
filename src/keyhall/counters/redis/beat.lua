-- A process says that it lives, and learns of the others and of what Redis has forgotten.
--
-- KEYS: the epoch, the members, a sign that nobody has told this memory yet what the ledger knows,
--   how many members there were a moment ago.
-- ARGV: 1 the process, 2 the epoch that it has joined, 3 a name for a new memory, 4 since when it
--   was without Redis (0: it was not), 5 how long a member is remembered, in us, 6 "1" if it has
--   just started, and knows what the ledger does of the last minute; then 7... the journals of dead
--   processes that it answers for. A member is called "<journal>/<life>".
-- The epoch is "<memory>:<round>:<born>": the memory is new whenever Redis had forgotten everything,
-- the round whenever processes had to count by themselves.
-- Returns: the epoch, members, members that have not joined it, the time and the epoch's age in us,
--   and 1 if this process is to tell what the ledger knows: the first that can, of a young memory.
if redis.replicate_commands then redis.replicate_commands() end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function stamp(at) return string.format('%.0f', at) end

local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[3] .. ':1:' .. stamp(now)
  redis.call('SET', KEYS[1], epoch)
  redis.call('SET', KEYS[3], '1', 'PX', 61000) -- Gone: the memory is older than a minute.
elseif tonumber(ARGV[4]) > 0 then
  local memory, round, born = epoch:match('^(.*):(%d+):(%d+)$')
  if tonumber(born) < tonumber(ARGV[4]) then
    epoch = memory .. ':' .. stamp(round + 1) .. ':' .. stamp(now)
    redis.call('SET', KEYS[1], epoch)
  end
end

local tells = 0
local untold = ARGV[6] == '1' and redis.call('GET', KEYS[3])
if untold == '1' then
  tells = 1
  redis.call('SET', KEYS[3], '0', 'KEEPTTL')
end

-- Take the place of the dead. Of one that this memory knows it has all but what its journal says;
-- of one that it does not know it has nothing.
if #ARGV > 6 then
  local memory = epoch:match('^(.*):%d+:%d+$')
  local knows = {}
  for i = 7, #ARGV do knows[ARGV[i]] = 'nothing' end
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local journal = all[i]:match('^(.*)/[^/]*$')
    if journal and knows[journal] and all[i] ~= ARGV[1] then
      local joined = all[i + 1]:match('^%d+ (.*):%d+:%d+$')
      if joined ~= memory then
        knows[journal] = 'too little'
      elseif knows[journal] == 'nothing' then
        knows[journal] = 'all'
      end
      redis.call('HDEL', KEYS[2], all[i])
    end
  end
  for _, what in pairs(knows) do
    if untold and what ~= 'all' then tells = 1 end
  end
end

redis.call('HSET', KEYS[2], ARGV[1], stamp(now) .. ' ' .. ARGV[2])

-- To look at all of them costs 0.7 us each. Were each of a thousand looked at by each of a thousand,
-- that would be most of a core, so many are counted ten times a second, for everybody. Whoever
-- reads a count that is 100 ms old in the same epoch knows what it would have known 100 ms ago.
local FEW, COUNTED_MS = 64, 100
local members, missing
local is_few = redis.call('HLEN', KEYS[2]) <= FEW
if not is_few then
  local of, all, absent = (redis.call('GET', KEYS[4]) or ''):match('^(.*) (%d+) (%d+)$')
  if of == epoch then members, missing = tonumber(all), tonumber(absent) end
end
if not members then
  members, missing = 0, 0
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local beat, joined = all[i + 1]:match('^(%d+) (.*)$')
    if tonumber(beat) + ARGV[5] < now then
      redis.call('HDEL', KEYS[2], all[i])
    else
      members = members + 1
      if joined ~= epoch then missing = missing + 1 end
    end
  end
  if not is_few then
    redis.call('SET', KEYS[4], epoch .. ' ' .. members .. ' ' .. missing, 'PX', COUNTED_MS)
  end
end
local born = tonumber(epoch:match(':(%d+)$'))
return {epoch, members, missing, stamp(now), stamp(now - born), tells}
