-- entry_state: whether the entry that holds the event with an id still waits. Reads no entry, however large it is.
-- KEYS[1] events stream   KEYS[2] its totals   ARGV[1] group   ARGV[2] ms   ARGV[3] seq of the event
-- An entry waits when it is behind the last delivered one, or pending; it is settled after that, unless Redis lost its
-- data: then its totals are younger than the event, or have not come as far as its seq. The pending entry that holds an
-- event is the first with an id not below the event's, if it is of the same millisecond; that may as well be a later one
-- of that millisecond, when the event's own is settled: then 'waiting' is said for too long, never too short.
-- Returns 'waiting', 'settled' (committed, but for those of its events that failed) or 'lost'.
local function entry_state(keys, argv)
  local ms, seq = tonumber(argv[2]), tonumber(argv[3])
  local totals = redis.call('HMGET', keys[2], 'added', 'born_ms')
  if not totals[2] or tonumber(totals[2]) > ms or tonumber(totals[1] or 0) < seq then return 'lost' end
  local groups = redis.pcall('XINFO', 'GROUPS', keys[1])
  if groups.err then return 'lost' end
  local delivered_ms, delivered_seq = 0, 0
  for _, group in ipairs(groups) do
    local fields = {}
    for i = 1, #group, 2 do fields[group[i]] = group[i + 1] end
    if fields['name'] == argv[1] then
      local left, right = string.match(fields['last-delivered-id'], '^(%d+)-(%d+)$')
      delivered_ms, delivered_seq = tonumber(left), tonumber(right)
    end
  end
  if ms > delivered_ms or (ms == delivered_ms and seq > delivered_seq) then return 'waiting' end
  local pending = redis.pcall('XPENDING', keys[1], argv[1], argv[2] .. '-' .. argv[3], '+', 1)
  if pending.err then return 'waiting' end -- no such group: nothing was delivered
  if pending[1] and tonumber(string.match(pending[1][1], '^(%d+)')) == ms then return 'waiting' end
  return 'settled'
end
