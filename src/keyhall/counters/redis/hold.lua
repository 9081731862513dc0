-- One request and ARGV[3] tokens in every window, or in none (R1-R7). See policy/window.py, whose
-- arithmetic this is: the newest slot is a header of nine doubles, closed slots are rows of five.
-- All numbers stay below 2^53, where doubles are exact.
--
-- KEYS: the group's epoch; a window for each three limits of ARGV[2]; then, if any of them limits
--   what is in flight, the leases of those that do.
-- ARGV: 1 the epoch that the caller knows, 2 limits (three doubles per window: requests, tokens, in
--   flight), 3 tokens, 4 the time or "" for Redis' own, 5 "1" to bring the group into the epoch;
--   then only with leases: 6 the process, 7 its lease in us, 8... its open requests, per lease.
-- Returns: 0 if the group is of another epoch. Admitted: five numbers of 8 bytes: the time, then
--   limit and what is left of requests and of tokens, where least is left (-1: no limit). Refused:
--   the time, each window's header and rows, and the requests in flight per lease.
local call, unpack_, pack = redis.call, struct.unpack, struct.pack
if redis.replicate_commands then redis.replicate_commands() end -- Redis 6: TIME, then writes.

if call('GET', KEYS[1]) ~= ARGV[1] then
  if ARGV[5] ~= '1' then return 0 end
  call('SET', KEYS[1], ARGV[1], 'PX', 3600000)
end

local limits, tokens = ARGV[2], tonumber(ARGV[3])
local count = #limits / 24
local now, ahead
if ARGV[4] == '' then
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
  ahead = now
else
  now = tonumber(ARGV[4])
  ahead = now
end

local heads = {}
for i = 1, count do
  local head = call('GETRANGE', KEYS[i + 1], 0, 71)
  if #head == 72 then
    local h = {unpack_('<ddddddddd', head)}
    if h[2] > now then now = h[2] end -- A clock that was set back opens no window.
    heads[i] = h
  else
    heads[i] = {0, 0, 0, 0, 0, 0, 0, 0, 0}
  end
end
ahead = now - ahead

-- Close the newest slot if its second is over, and drop the slots whose time has come.
local turned = {}
for i = 1, count do
  local h = heads[i]
  if now >= h[9] then
    local rows = call('GETRANGE', KEYS[i + 1], 72, -1)
    if now >= h[1] + 1000000 then
      if h[3] > 0 then
        rows = rows .. pack('<ddddd', h[2], h[4], h[5], h[3], h[6])
        h[7], h[8] = h[7] + h[3], h[8] + h[4]
        h[3], h[4], h[5], h[6] = 0, 0, 0, 0
      end
      h[1] = now - now % 1000000
    end
    local turn, at = h[1] + 1000000, 1
    while at < #rows do
      local last, used, _, requests = unpack_('<dddd', rows, at)
      local leaves = last + 60000000
      if leaves > now then
        if leaves < turn then turn = leaves end
        break
      end
      h[7], h[8] = h[7] - requests, h[8] - used
      at = at + 40
    end
    h[9] = turn
    turned[i] = at == 1 and rows or rows:sub(at)
  end
end

local leases, fits = count + 1, true
local flying = {}
local limit_r, limit_t, left_r, left_t = -1, -1, 0, 0
local at = 1
for i = 1, count do
  local h = heads[i]
  local max_r, max_t, max_f = unpack_('<ddd', limits, at)
  at = at + 24
  if max_r >= 0 then
    local left = max_r - h[7] - h[3] - 1
    if left < 0 then fits = false end
    if limit_r < 0 or left < left_r then limit_r, left_r = max_r, left end
  end
  if max_t >= 0 then
    local left = max_t - h[8] - h[4] - tokens
    if left < 0 then fits = false end
    if limit_t < 0 or left < left_t then limit_t, left_t = max_t, left end
  end
  if max_f >= 0 then
    leases = leases + 1
    local open = tonumber(ARGV[leases - count + 6])
    local all = call('HGETALL', KEYS[leases])
    for j = 1, #all, 2 do
      if all[j] ~= ARGV[6] then
        local n, ends = unpack_('<dd', all[j + 1])
        if ends > now then open = open + n else call('HDEL', KEYS[leases], all[j]) end
      end
    end
    flying[#flying + 1] = open
    if open >= max_f then fits = false end
  end
end

if not fits then
  local reply = {pack('<d', now)}
  for i = 1, count do
    local h = heads[i]
    reply[i + 1] = pack('<ddddddddd', unpack(h))
      .. (turned[i] or call('GETRANGE', KEYS[i + 1], 72, -1))
  end
  for i = 1, #flying do reply[count + 1 + i] = flying[i] end
  return reply
end

for i = 1, count do
  local h = heads[i]
  local head = pack('<ddddddddd', h[1], now, h[3] + 1, h[4] + tokens, h[5] + tokens, h[6] + 1,
    h[7], h[8], h[9])
  if turned[i] then -- Once a second; it lives 60 s from the last admission that its second may see.
    call('SET', KEYS[i + 1], head .. turned[i], 'PX', 62000 + math.ceil(ahead / 1000))
    if i == 1 then call('PEXPIRE', KEYS[1], 3600000 + math.ceil(ahead / 1000)) end
  else
    call('SETRANGE', KEYS[i + 1], 0, head)
  end
end
for i = count + 2, leases do
  local open = tonumber(ARGV[i - count + 6]) + 1
  call('HSET', KEYS[i], ARGV[6], pack('<dd', open, now + ARGV[7]))
  call('PEXPIRE', KEYS[i], 62000)
end
return pack('<i8i8i8i8i8', now, limit_r, left_r, limit_t, left_t)
