-- What the ledger does within Redis: each function is one step that nobody sees half done. server/README.md says what lies under which key.
--
-- subscriber's hash   v stamp of the last change | c contacts, 80 bytes each | e "1" once erased | x index of what is remembered
--                     p stamps before v, the last first, where contacts count toward totals | u stamp of the last live change | r.. or o.. with a digest of 16 bytes: a remembered answer, an outcome
-- live changes' hash  by family and name: "<kind> <instant in microseconds> ", then the value
-- index x             25 bytes an entry: 8 of its end in microseconds, big-endian; 17 of the field's name; oldest first
-- schedule            subscribers' keys by when they are to be looked at, microseconds: an open hold of theirs that counts toward a total ends then
-- total's hash        by replica's life, or "0" for those that are gone: its part of a total over all subscribers
-- given's hash        of a replica's life: by total, and with ":e" or ":<day>" behind it, units and events by its changes | over "1" once it is over
-- over                lives of replicas that are over, while what they leased is not given back: another one has their number, or they were silent for too long
-- epoch's hash        epoch | run of the server for which it was raised | since, microseconds | settling: for how long nobody grants in it whoever has asserted
--                     grants: the epoch once all may grant in it, else empty

local RECORD, ENTRY, NEVER = 80, 25, '\0\0\0\0\0\0\0\128'
local EVENTS = { 25, 33, 41, 49, 57 }
local RANK, FLAGS = 73, 74
local GRANT, REFUSE, WITHDRAW = '8', '9', '10'
local STAMPS, GONE, OVER_KEPT_MS = 8 * 16, 24 * 3600 * 1000000, 366 * 24 * 3600 * 1000

local function micros()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function number(text)
  return string.format('%.0f', text)
end

-- Drop from a subscriber's hash what is remembered no longer; return the index of what is left.
local function pruned(key, index, now)
  local at = 1
  while at < #index do
    local ends = struct.unpack('>I8', index, at)
    if ends > now then break end
    redis.call('HDEL', key, string.sub(index, at + 8, at + ENTRY - 1))
    at = at + ENTRY
  end
  return string.sub(index, at)
end

-- Return the index with an entry more, oldest first: what is asserted may be over sooner than what is there.
local function entered(index, ends, field)
  local at, over = #index, struct.unpack('>I8', ends)
  while at > 0 and struct.unpack('>I8', index, at - ENTRY + 1) > over do at = at - ENTRY end
  return string.sub(index, 1, at) .. ends .. field .. string.sub(index, at + 1)
end

-- Remember (field, end, value) triples, those that are new, and return the index with them.
local function remember(key, index, args, first)
  for i = first, #args, 3 do
    if redis.call('HSETNX', key, args[i], args[i + 2]) == 1 then index = entered(index, args[i + 1], args[i]) end
  end
  return index
end

-- Have the key end at `ends`, milliseconds, or never; a later end that it has stays.
local function lives_until(key, ends, was)
  if ends == '' then
    redis.call('PERSIST', key)
  elseif was ~= -1 then
    local left = tonumber(ends) - math.floor(micros() / 1000)
    if left > was then redis.call('PEXPIREAT', key, ends) end
  end
end

-- Note when a subscriber's contacts are to be looked at for totals: '' says nothing of it, '0' not at all, else microseconds; how: 'LT' to leave an earlier instant, 'CH' to replace it.
local function look_at(epoch_key, key, due, how)
  local schedule = string.gsub(epoch_key, 'epoch$', 'due')
  if due == '0' then
    redis.call('ZREM', schedule, key)
  elseif due ~= '' then
    redis.call('ZADD', schedule, how, due, key)
  end
end

-- Keep the last of the stamps that were replaced, where totals want to know which changes were done.
local function keep_stamps(key, due, stamps)
  if due ~= '' then redis.call('HSET', key, 'p', string.sub(stamps, 1, STAMPS)) end
end

local function given_key(epoch_key, life)
  return string.gsub(epoch_key, 'epoch$', 'given:') .. life
end

-- Add up what a replica's changes mean for totals: "<life> <field> <n> <field> <n> ..."; return whether that replica is still one.
local function count_moves(epoch_key, moved)
  if moved == '' then return true end
  local life, rest = string.match(moved, '^(%S+)(.*)$')
  local given = given_key(epoch_key, life)
  if redis.call('HEXISTS', given, 'over') == 1 then return false end
  for field, n in string.gmatch(rest, '(%S+) (-?%d+)') do redis.call('HINCRBY', given, field, n) end
  return true
end

-- Write a subscriber's state if it is still what was read. 1: written, now or before; 0: it was changed since; -1: not in this epoch, or not by a replica that is over.
-- args: epoch's key, epoch, stamp read, stamp to be, now, key's end (ms or empty), when to look at it, what it means for totals, contacts, then (field, end, value) to remember.
local function commit(keys, args)
  local key = keys[1]
  if redis.call('HGET', args[1], 'grants') ~= args[2] then return -1 end
  local held = redis.call('HMGET', key, 'v', 'x', 'p')
  local stamp = held[1] or ''
  if stamp == args[4] then return 1 end
  if stamp ~= args[3] then return 0 end
  local left = pruned(key, held[2] or '', tonumber(args[5]))
  if not count_moves(args[1], args[8]) then return -1 end
  look_at(args[1], key, args[7], 'CH') -- whatever may fail comes before what it is about
  local was = redis.call('PTTL', key)
  local index = remember(key, left, args, 10)
  redis.call('HSET', key, 'v', args[4], 'c', args[9], 'x', index)
  lives_until(key, args[6], was)
  keep_stamps(key, args[7], stamp .. (held[3] or ''))
  return 1
end

-- Erase a subscriber for good: what is left says that it was erased. Return its contacts. keys: its own, its live changes'. args: epoch's key, epoch, stamp to be.
local function forget(keys, args)
  if redis.call('HGET', args[1], 'epoch') ~= args[2] then return -1 end
  local contacts = redis.call('HGET', keys[1], 'c') or ''
  look_at(args[1], keys[1], '0', 'CH')
  redis.call('DEL', keys[1], keys[2])
  redis.call('HSET', keys[1], 'v', args[3], 'e', '1')
  return contacts
end

-- Return the keys of subscribers that are to be looked at by now, and put them off, for whoever asked looks at them. keys: the schedule. args: how many, for how long (us).
local function due(keys, args)
  local now = micros()
  local found = redis.call('ZRANGEBYSCORE', keys[1], '-inf', number(now), 'LIMIT', 0, args[1])
  for _, key in ipairs(found) do redis.call('ZADD', keys[1], 'XX', number(now + tonumber(args[2])), key) end
  return found
end

-- A replica's part of a total, as it lies there: "<version> <instant> <held units> <events ever> <day>:<events> ...".
local function part_of(text)
  local version, at, live, lifetime, rest = string.match(text, '^(%d+) (%d+) (-?%d+) (-?%d+)(.*)$')
  local part = { version = tonumber(version), at = tonumber(at), live = tonumber(live), lifetime = tonumber(lifetime), days = {} }
  for day, events in string.gmatch(rest, '(%d+):(-?%d+)') do part.days[day] = tonumber(events) end
  return part
end

local function text_of(part)
  local words = { number(part.version), number(part.at), number(part.live), number(part.lifetime) }
  for day, events in pairs(part.days) do words[#words + 1] = day .. ':' .. number(events) end
  return table.concat(words, ' ')
end

local function add_part(sum, part, first_day)
  sum.live, sum.lifetime = sum.live + part.live, sum.lifetime + part.lifetime
  for day, events in pairs(part.days) do
    if tonumber(day) >= first_day then sum.days[day] = (sum.days[day] or 0) + events end
  end
end

-- Return the sum of what others have of a total, having put what is left of replicas that are long gone into one part, "0".
local function others_of(key, mine, replicas_key, now, first_day)
  local sum, gone, left = { live = 0, lifetime = 0, days = {} }, {}, redis.call('HGETALL', key)
  for i = 1, #left, 2 do
    local part = part_of(left[i + 1])
    if left[i] ~= mine then add_part(sum, part, first_day) end
    if left[i] ~= mine and left[i] ~= '0' and part.at < now - GONE then gone[left[i]] = part end
  end
  if next(gone) then
    for _, replica in ipairs(redis.call('HVALS', replicas_key)) do gone[string.match(replica, '^(%S+)')] = nil end
  end
  for life, part in pairs(gone) do
    local base = part_of(redis.call('HGET', key, '0') or '0 0 0 0')
    add_part(base, part, first_day)
    redis.call('HDEL', key, life)
    redis.call('HSET', key, '0', text_of(base))
  end
  return sum
end

-- Return how many more may be held while every limit stands. limits: from its place on, (first day that counts, or "" for ever; limit) pairs.
local function room_of(sum, part, args, from)
  local room = math.huge
  for i = from, #args, 2 do
    local used = sum.live + part.live
    if args[i] == '' then
      used = used + sum.lifetime + part.lifetime
    else
      for _, days in ipairs({ sum.days, part.days }) do
        for day, events in pairs(days) do
          if tonumber(day) >= tonumber(args[i]) then used = used + events end
        end
      end
    end
    room = math.min(room, tonumber(args[i + 1]) - used)
  end
  return math.max(room, 0)
end

-- Take down a replica's part of a total, and lease it units: what it needs, and to spare of what is left then. Return (units leased, others' part), or -1: not in this epoch.
-- keys: the total's. args: epoch's key, epoch, life, part, units needed, units to spare, first day that is kept, then limits as room_of has them.
-- A part that is older than the one there came late and changes nothing.
local function stock(keys, args)
  local needed, spare, first_day = tonumber(args[5]), tonumber(args[6]), tonumber(args[7])
  local in_epoch = needed > 0 and 'grants' or 'epoch'
  if redis.call('HGET', args[1], in_epoch) ~= args[2] or redis.call('HEXISTS', given_key(args[1], args[3]), 'over') == 1 then return -1 end
  local now, part = micros(), part_of(args[4])
  local sum = others_of(keys[1], args[3], string.gsub(args[1], 'epoch$', 'replicas'), now, first_day)
  local stored, leased = redis.call('HGET', keys[1], args[3]), 0
  if not stored or part_of(stored).version <= part.version then
    local room = needed > 0 and room_of(sum, part, args, 8) or 0
    leased = math.min(room, needed + math.min(spare, math.floor(math.max(room - needed, 0) / 4)))
    part.live, part.at = part.live + leased, now
    redis.call('HSET', keys[1], args[3], text_of(part))
  end
  sum.version, sum.at = 0, now
  return { leased, text_of(sum) }
end

-- A replica goes, or is over: its part of a total becomes everybody's. keys: the total's. args: epoch's key, epoch, life, part, first day that is kept,
-- "1" for one that is over, whose part then is what was added up of it: 0 where it has none any more.
local function give_up_stock(keys, args)
  if redis.call('HGET', args[1], 'epoch') ~= args[2] then return -1 end
  if args[6] == '1' then
    if redis.call('HEXISTS', keys[1], args[3]) == 0 then return 0 end
  elseif redis.call('HEXISTS', given_key(args[1], args[3]), 'over') == 1 then
    return -1
  end
  local base = part_of(redis.call('HGET', keys[1], '0') or '0 0 0 0')
  add_part(base, part_of(args[4]), tonumber(args[5]))
  redis.call('HDEL', keys[1], args[3])
  redis.call('HSET', keys[1], '0', text_of(base))
  return 1
end

-- Whether a consent that is stored stays, whatever is said now: a withdrawal takes back a grant alone, and no grant ends a later refusal.
local function stays(kind, at, was, was_at)
  return (kind == WITHDRAW and was ~= GRANT) or (kind == GRANT and was == REFUSE and tonumber(at) < was_at)
end

-- Whether what is stored is as late as what is asserted. But no withdrawal ends a refusal, and whether a grant did is known no longer: it counts as none.
local function as_late(kind, at, was, was_at)
  return was_at >= tonumber(at) and not (kind == REFUSE and was == WITHDRAW)
end

-- Note live changes of a subscriber. 1: noted; 0: it was erased; -1: not in this epoch.
-- keys: its own, its live changes'. args: epoch's key, epoch, stamp, "1" to leave what is there from the same instant or later, then (name, kind, instant, value).
local function change(keys, args)
  if redis.call('HGET', args[1], 'epoch') ~= args[2] then return -1 end
  if redis.call('HEXISTS', keys[1], 'e') == 1 then return 0 end
  for i = 5, #args, 4 do
    local kind, at = args[i + 1], args[i + 2]
    local stored = redis.call('HGET', keys[2], args[i])
    local was, was_at = string.match(stored or '', '^(%d+) (-?%d+) ')
    was_at = tonumber(was_at or '0')
    if not was or not (stays(kind, at, was, was_at) or (args[4] == '1' and as_late(kind, at, was, was_at))) then
      redis.call('HSET', keys[2], args[i], kind .. ' ' .. at .. ' ' .. args[i + 3])
    end
  end
  redis.call('HSET', keys[1], 'u', args[3])
  redis.call('PERSIST', keys[1])
  return 1
end

-- Return a stored record with what happened to `mine`, the same contact, besides.
local function joined(stored, mine)
  for _, at in ipairs(EVENTS) do
    if string.sub(stored, at, at + 7) == NEVER then
      stored = string.sub(stored, 1, at - 1) .. string.sub(mine, at, at + 7) .. string.sub(stored, at + 8)
    end
  end
  if string.byte(mine, FLAGS) % 2 == 0 and string.byte(stored, FLAGS) % 2 == 1 then
    stored = string.sub(stored, 1, FLAGS - 1) .. string.sub(mine, FLAGS, FLAGS) .. string.sub(stored, FLAGS + 1)
  end
  return stored
end

-- Return where in `contacts` the record of the same decision and rank as `mine` starts, or nil.
local function place(contacts, mine)
  for at = 1, #contacts, RECORD do
    if string.sub(contacts, at, at + 7) == string.sub(mine, 1, 8)
      and string.byte(contacts, at + RANK - 1) == string.byte(mine, RANK) then return at end
  end
end

-- Whether the change of this stamp is among those that were done: stamps, 16 bytes each.
local function was_done(stamp, stamps)
  for at = 1, #stamps, 16 do
    if string.sub(stamps, at, at + 15) == stamp then return true end
  end
  return false
end

-- Add to a subscriber's state what a replica committed and a failover may have lost. args as of commit; what it was based on counts as done as well.
-- What is to be looked at is, at the earlier of the two instants.
local function assert_contacts(keys, args)
  local key = keys[1]
  if redis.call('HGET', args[1], 'epoch') ~= args[2] then return -1 end
  local held = redis.call('HMGET', key, 'v', 'x', 'c', 'e', 'p')
  if held[4] then return 1 end
  if not was_done(args[4], (held[1] or '') .. (held[5] or '')) and not count_moves(args[1], args[8]) then return -1 end
  if args[7] ~= '0' then look_at(args[1], key, args[7], 'LT') end
  local was = redis.call('PTTL', key)
  local contacts = held[3] or ''
  for from = 1, #args[9], RECORD do
    local mine = string.sub(args[9], from, from + RECORD - 1)
    local at = place(contacts, mine)
    if at then
      local stored = string.sub(contacts, at, at + RECORD - 1)
      contacts = string.sub(contacts, 1, at - 1) .. joined(stored, mine) .. string.sub(contacts, at + RECORD)
    else
      contacts = contacts .. mine
    end
  end
  local index = remember(key, held[2] or '', args, 10)
  redis.call('HSET', key, 'v', args[4], 'c', contacts, 'x', index)
  lives_until(key, args[6], was)
  keep_stamps(key, args[7], (held[1] or '') .. args[3] .. (held[5] or ''))
  return 1
end

-- Count what an erasure, which is done, means for totals. keys: epoch's. args: as count_moves has it.
local function count_erased(keys, args)
  return count_moves(keys[1], args[1]) and 1 or -1
end

-- A replica is over: nothing that it sends any more is done, though it slept for a year. Return what its changes meant for totals.
-- keys: what they meant, replicas that are over. args: its life, "1" when others have what it leased.
local function bury(keys, args)
  if args[2] == '1' then
    redis.call('SREM', keys[2], args[1])
    redis.call('DEL', keys[1])
  end
  redis.call('HSET', keys[1], 'over', '1')
  if args[2] == '1' then redis.call('PEXPIRE', keys[1], OVER_KEPT_MS) end
  return redis.call('HGETALL', keys[1])
end

-- Return (epoch, grants, since, now), having raised the epoch if this is not the server, or the life of it, for which it was raised.
-- Nothing for a server whose life is the one of its epoch, while the caller knows of a later epoch: it was a primary before, and others have gone on.
-- Where neither the server nor the caller knows of an epoch before, others may, and of who came while the caller slept: nobody grants before they had the time to show themselves.
-- keys: epoch's, replicas'. args: the server's run id, the largest epoch that the caller knows of, that time (us), "1" when the caller slept,
-- then the replicas that it heard of within a lease, which may be lost here, or have been there by another clock: those that were there, they are now.
local function epoch(keys, args)
  local held = redis.call('HMGET', keys[1], 'epoch', 'run', 'since', 'grants')
  local now = micros()
  local last = math.max(tonumber(held[1] or '0'), tonumber(args[2]))
  if held[2] == args[1] and last > tonumber(held[1]) then return {} end
  for i = 5, #args, 2 do
    local there, life = redis.call('HGET', keys[2], args[i]), string.match(args[i + 1], '^(%S+)')
    local same = there and held[2] ~= args[1] and string.match(there, '^(%S+)') == life
    if not there or same then
      local asserted = string.match(there or args[i + 1], '^%S+ %S+ (%S+)')
      redis.call('HSET', keys[2], args[i], life .. ' ' .. number(now) .. ' ' .. asserted)
    end
  end
  if held[2] ~= args[1] then
    local next = number(math.max(last + 1, now))
    local settling = (last == 0 or args[4] == '1') and args[3] or '0'
    redis.call('HSET', keys[1], 'epoch', next, 'run', args[1], 'since', number(now), 'settling', settling, 'grants', '')
    held = { next, args[1], number(now), '' }
  end
  return { held[1], held[4], held[3], number(now) }
end

-- Whether all may grant in an epoch: each replica that was there within a lease before it has asserted what it knows and it has settled, or a lease is over.
-- A clock that was set back begins both anew. held: epoch, grants, since, settling.
local function may_grant(keys, held, lease, now)
  local since, missing = tonumber(held[3]), 0
  if now < since then
    since = now
    redis.call('HSET', keys[1], 'since', number(now))
  end
  for _, replica in ipairs(redis.call('HVALS', keys[2])) do
    local at, asserted = string.match(replica, '^%S+ (%S+) (%S+)')
    if tonumber(at) > since - lease and asserted ~= held[1] then missing = missing + 1 end
  end
  return (missing == 0 and now - since >= tonumber(held[4])) or now - since > lease
end

-- A replica says that it is there; return (epoch, grants, now, all replicas), or nothing when another one has its number, or it is over.
-- All may grant in an epoch once each replica that was there within a lease before it has asserted what it knows, or a lease after it began.
-- keys: epoch's, replicas'. args: its number, life, how long a number is kept (us), lease (us), epoch in which the replica has asserted.
local function beat(keys, args)
  local now = micros()
  local mine = redis.call('HGET', keys[2], args[1])
  local over = string.gsub(keys[2], 'replicas$', 'over')
  if redis.call('SISMEMBER', over, args[2]) == 1 or redis.call('HEXISTS', given_key(keys[1], args[2]), 'over') == 1 then return {} end
  if mine then
    local life, at, asserted = string.match(mine, '^(%S+) (%S+) (%S+)')
    if life ~= args[2] and now - tonumber(at) < tonumber(args[3]) then
      if tonumber(at) > now then redis.call('HSET', keys[2], args[1], life .. ' ' .. number(now) .. ' ' .. asserted) end -- the clock was set back
      return {}
    end
    if life ~= args[2] then redis.call('SADD', over, life) end
  end
  redis.call('HSET', keys[2], args[1], args[2] .. ' ' .. number(now) .. ' ' .. args[5])
  local held = redis.call('HMGET', keys[1], 'epoch', 'grants', 'since', 'settling')
  if held[1] and held[1] ~= held[2] and may_grant(keys, held, tonumber(args[4]), now) then
    redis.call('HSET', keys[1], 'grants', held[1])
    held[2] = held[1]
  end
  return { held[1] or '', held[2] or '', number(now), redis.call('HGETALL', keys[2]) }
end

-- A replica was silent for too long: it is over, unless it has said something by now. keys: replicas'. args: its number, what it said last.
local function dismiss(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then return 0 end
  redis.call('HDEL', keys[1], args[1])
  redis.call('SADD', string.gsub(keys[1], 'replicas$', 'over'), string.match(args[2], '^(%S+)'))
  return 1
end

-- A replica goes: its number is free. args: its number, life.
local function leave(keys, args)
  local mine = redis.call('HGET', keys[1], args[1])
  if mine and string.match(mine, '^(%S+)') == args[2] then
    redis.call('HDEL', keys[1], args[1])
    redis.call('DEL', string.gsub(keys[1], 'replicas$', 'given:') .. args[2])
  end
  return 1
end

-- Give codes 1, 2, ... to the names of a kind that have none; return all names and codes, or nothing, with nothing given, when there would be too many.
-- args: how many codes there are, then names.
local function names(keys, args)
  local fresh, seen = {}, {}
  for i = 2, #args do
    if not seen[args[i]] and redis.call('HEXISTS', keys[1], args[i]) == 0 then fresh[#fresh + 1] = args[i] end
    seen[args[i]] = true
  end
  local last, sum = redis.call('HLEN', keys[1]), 0
  if last + #fresh > tonumber(args[1]) then return {} end
  for _, code in ipairs(redis.call('HVALS', keys[1])) do sum = sum + (tonumber(code) or 0.5) end
  if sum ~= last * (last + 1) / 2 then return redis.error_reply('ERR the names were changed or lost') end
  for i, name in ipairs(fresh) do redis.call('HSET', keys[1], name, last + i) end
  return redis.call('HGETALL', keys[1])
end
