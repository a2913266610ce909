-- publish: everything that one publisher call does to one shard, atomically.
--
-- For each request in order: backlog limit, sliding window, early duplicate filter; then one entry with all new events
-- of the call and one entry with the audit records of its requests. Either all of it happens or none.
--
-- KEYS[1] events stream   KEYS[2] its totals   KEYS[3] audit stream   KEYS[4] its totals
-- KEYS[5] ids             KEYS[6] ids before   KEYS[7] accepted counts   KEYS[8..] limit lists
-- ARGV[1] msgpack {backlog_limit, ids_max, ids_window_us, limit_window_us, audit_limit}
-- ARGV[2] msgpack list of requests {
--   limit_place   place in KEYS of the limit list, 0 for none
--   limit
--   ids           list of 'client NUL event_id' in order, {} when the request brings no events
--   audit         length in ARGV[3] of its record up to, not including, status and error
--   record        the same of the whole record
--   head          length in ARGV[4] of its block up to, not including, its list of events
--   events        the same of that list
--   account       field of the accepted counts to which its kept events are added }
-- ARGV[3] audit records of all requests, one after the other, as they are when nothing here refuses them; msgpack
-- ARGV[4] blocks of all requests that bring events, the same
-- ARGV[5] the CRC-32 of each payload, 4 bytes each
-- Nearly always nothing is refused and no event is a duplicate: then ARGV[3] and ARGV[4] are written as they came, and
-- nothing is cut (Redis' cmsgpack does not read msgpack's binary type).
-- Returns msgpack {ms, list of results {outcome, remaining, reset_us, last, kept, duplicates}}
--   outcome 0 done, 1 rate limited, 2 backlog full, 3 too many audit records wait: nothing was done, nor recorded;
--   ms-(last - kept + k) is the id of the k-th kept event
--   duplicates: list of {place, ms, seq, same} with place from 0 and same = 1 if the payload's CRC is the first one's
local ACCEPTED, LIMITED, BACKLOG, UNRECORDED = 0, 1, 2, 3

local function count_header(n)
  return '\221' .. struct.pack('>I4', n) -- msgpack array 32
end

-- Nothing stays for ever, should no call come again: a generation of ids expires two windows after it was made, or after it
-- became the one before.
local function expire_ids(key, window_us)
  redis.call('PEXPIRE', key, math.ceil(window_us / 500))
end

local function rotate_ids(ids, before, totals, since, now_us, ids_max, window_us)
  if now_us - since < window_us and redis.call('HLEN', ids) < ids_max / 2 then return end
  redis.call('UNLINK', before)
  if redis.call('EXISTS', ids) == 1 then
    redis.call('RENAME', ids, before)
    expire_ids(before, window_us)
  end
  redis.call('HSET', totals, 'ids_since', string.format('%.0f', now_us))
end

-- Bytes after the first of a msgpack value, by its first byte: of fixed size, or of the size that follows in n bytes.
local FIXED = {[192] = 0, [204] = 1, [205] = 2, [206] = 4, [207] = 8, [208] = 1, [209] = 2, [210] = 4, [211] = 8}
local SIZED = {[196] = 1, [197] = 2, [198] = 4, [217] = 1, [218] = 2, [219] = 4} -- bin 8 to 32, str 8 to 32
local UNSIGNED = {'>I1', '>I2', [4] = '>I4'}

-- The place after the value that begins at a place (both from 1).
local function after_value(bytes, at)
  local first = string.byte(bytes, at)
  if first < 128 or first >= 224 then return at + 1 end -- small integers
  if first >= 160 and first < 192 then return at + 1 + first - 160 end -- short strings
  if FIXED[first] then return at + 1 + FIXED[first] end
  local width = SIZED[first]
  return at + 1 + width + struct.unpack(UNSIGNED[width], bytes, at + 1)
end

-- The events list without the ones at the given places (a set, from 1): cut by msgpack's own lengths. An event is an
-- array of five values of the kinds above.
local function without(events, dropped, n, kept)
  local parts, head = {count_header(kept)}, string.byte(events, 1)
  local at = head == 221 and 6 or head == 220 and 4 or 2
  for place = 1, n do
    local start = at
    at = at + 1
    for _ = 1, 5 do at = after_value(events, at) end
    if not dropped[place] then parts[#parts + 1] = string.sub(events, start, at - 1) end
  end
  return table.concat(parts)
end

-- What is known of the ids of all requests, asked in few calls: a map from id to its packed value.
local CHUNK = 4000 -- of Lua's stack, which holds a call's arguments
local function find_known(requests, ids, before)
  local all, known = {}, {}
  local size = 0
  for i = 1, #requests do
    local of_request = requests[i][3]
    for k = 1, #of_request do
      size = size + 1
      all[size] = of_request[k]
    end
  end
  for from = 1, size, CHUNK do
    local to = math.min(from + CHUNK - 1, size)
    for generation = 1, 2 do
      local values = redis.call('HMGET', generation == 1 and before or ids, unpack(all, from, to))
      for k = from, to do
        local value = values[k - from + 1]
        if value then known[all[k]] = value end
      end
    end
  end
  return known
end

-- Remembers new ids: fresh is a list of id, seq, crc, id, seq, crc, ...
local function remember(ids, fresh, ms)
  local packed_ms = struct.pack('>I2I4', math.floor(ms / 4294967296), ms % 4294967296)
  local pairs_of, size, pack, floor = {}, 0, struct.pack, math.floor
  for i = 1, #fresh, 3 do
    local seq = fresh[i + 1]
    pairs_of[size + 1] = fresh[i]
    pairs_of[size + 2] = packed_ms .. pack('>I2I4', floor(seq / 4294967296), seq % 4294967296) .. fresh[i + 2]
    size = size + 2
  end
  for from = 1, size, CHUNK do
    redis.call('HSET', ids, unpack(pairs_of, from, math.min(from + CHUNK - 1, size)))
  end
end

-- The records of all requests, with the status and error of those that were refused here.
local function audit_blob(requests, refused, records)
  if not next(refused) then return records end
  local parts, at = {}, 1
  for i, request in ipairs(requests) do
    local audit_length, record_length = request[4], request[5]
    local refusal = refused[i]
    if refusal then
      parts[#parts + 1] = string.sub(records, at, at + audit_length - 1)
        .. cmsgpack.pack(refusal[1]) .. cmsgpack.pack(refusal[2])
    else
      parts[#parts + 1] = string.sub(records, at, at + record_length - 1)
    end
    at = at + record_length
  end
  return table.concat(parts)
end

-- The blocks of all requests without the events that are not kept, and how many blocks there are.
-- results[i] has the kept events of a request in its place 5; dropped[i] the set of places of the others.
local function event_blob(requests, results, dropped, blocks)
  local parts, at = {}, 1
  for i, request in ipairs(requests) do
    local n, kept, head_length, events_length = #request[3], results[i][5], request[6], request[7]
    local events_at = at + head_length
    local after = events_at + events_length
    if kept > 0 and kept == n then
      parts[#parts + 1] = string.sub(blocks, at, after - 1)
    elseif kept > 0 then
      local events = without(string.sub(blocks, events_at, after - 1), dropped[i], n, kept)
      parts[#parts + 1] = string.sub(blocks, at, events_at - 1) .. events
    end
    at = after
  end
  return table.concat(parts), #parts
end

local NONE = {} -- of most requests' duplicates; never written to

local function publish(keys, argv)
  local backlog_limit, ids_max, ids_window_us, limit_window_us, audit_limit = unpack(cmsgpack.unpack(argv[1]))
  local requests = cmsgpack.unpack(argv[2])
  local time = redis.call('TIME')
  local now_us = time[1] * 1000000 + time[2]
  local counts = redis.call('HMGET', keys[2], 'added', 'settled', 'last_ms', 'born_ms', 'ids_since')
  local added = tonumber(counts[1] or 0)
  local backlog = added - tonumber(counts[2] or 0)
  local ms = math.max(math.floor(now_us / 1000), tonumber(counts[3] or 0))
  local results, windows, refused, dropped, fresh, own, repeats, accounts = {}, {}, {}, {}, {}, {}, {}, {}
  local total, seen, with_events = 0, 0, 0 -- kept events; events looked at; requests that bring any
  local waiting = redis.call('HMGET', keys[4], 'added', 'settled', 'last_ms')
  if tonumber(waiting[1] or 0) - tonumber(waiting[2] or 0) >= audit_limit then
    for i = 1, #requests do results[i] = {UNRECORDED, 0, 0, added, 0, {}} end
    return cmsgpack.pack({ms, results})
  end
  local since = tonumber(counts[5] or 0)
  rotate_ids(keys[5], keys[6], keys[2], since, now_us, ids_max, ids_window_us)
  local known = find_known(requests, keys[5], keys[6])
  local crcs, sub, size = argv[5], string.sub, 0 -- size of fresh

  for i = 1, #requests do
    local request = requests[i]
    local place, limit, ids = request[1], request[2], request[3]
    local outcome, remaining, reset_us, kept, duplicates = ACCEPTED, 0, 0, 0, NONE
    local n = #ids
    if n > 0 then with_events = with_events + 1 end
    if n > 0 and backlog + total >= backlog_limit then
      outcome, refused[i] = BACKLOG, {503, 'backlog-full'}
    end
    if place > 0 then
      local window = windows[place]
      if not window then
        window = open_window(keys[place], limit, limit_window_us, now_us)
        windows[place] = window
      end
      if outcome == BACKLOG then
        remaining, reset_us = left_in(window) -- what is refused for the backlog does not use up the limit
      else
        local admitted = admit_one(window)
        remaining, reset_us = left_in(window)
        if not admitted then outcome, refused[i] = LIMITED, {429, 'rate-limited'} end
      end
    end
    if outcome == ACCEPTED and n > 0 then
      for k = 1, n do
        local id = ids[k]
        local crc_at = 4 * (seen + k) - 3
        local crc = sub(crcs, crc_at, crc_at + 3)
        local first = known[id]
        local mine = own[id] -- where in fresh an earlier event of this call has the id
        if first or mine then
          local duplicate
          if first then
            local ms_high, ms_low, seq_high, seq_low = struct.unpack('>I2I4I2I4', first)
            local same = string.sub(first, 13) == crc and 1 or 0
            duplicate = {k - 1, ms_high * 4294967296 + ms_low, seq_high * 4294967296 + seq_low, same}
          else
            duplicate = {k - 1, 0, fresh[mine + 1], fresh[mine + 2] == crc and 1 or 0}
            repeats[#repeats + 1] = duplicate -- its ms is known when the entry is there
          end
          if duplicates == NONE then duplicates = {} end
          duplicates[#duplicates + 1] = duplicate
          dropped[i] = dropped[i] or {}
          dropped[i][k] = true
        else
          kept = kept + 1
          own[id] = size + 1
          fresh[size + 1], fresh[size + 2], fresh[size + 3] = id, added + total + kept, crc
          size = size + 3
        end
      end
      if kept > 0 then accounts[request[8]] = (accounts[request[8]] or 0) + kept end
      total = total + kept
    end
    seen = seen + n
    results[i] = {outcome, remaining, reset_us, added + total, kept, duplicates}
  end

  for _, window in pairs(windows) do close_window(window) end
  if total > 0 then
    local blob, blocks = argv[4], with_events
    if total < seen then blob, blocks = event_blob(requests, results, dropped, argv[4]) end
    ms = append(keys[1], keys[2], now_us, total, count_header(blocks) .. blob, {counts[1], counts[3]})
    remember(keys[5], fresh, ms)
    -- It has a window left, as ids come for no longer than one after it was made: but for a new one, one whose lifetime another
    -- hand took away, and one that a gateway with a smaller window made.
    if redis.call('PTTL', keys[5]) < ids_window_us / 1000 then expire_ids(keys[5], ids_window_us) end
    -- Younger than an event means that Redis lost its data after it was accepted: see entry_state.
    if not counts[4] then redis.call('HSET', keys[2], 'born_ms', string.format('%.0f', math.floor(now_us / 1000))) end
    for account, n in pairs(accounts) do redis.call('HINCRBY', keys[7], account, n) end
    for _, duplicate in ipairs(repeats) do duplicate[2] = ms end
  end
  local records = count_header(#requests) .. audit_blob(requests, refused, argv[3])
  append(keys[3], keys[4], now_us, #requests, records, {waiting[1], waiting[3]})
  return cmsgpack.pack({ms, results})
end
