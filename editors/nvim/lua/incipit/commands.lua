-- :Incipit SUBCOMMAND: what each does, and the completion of its arguments.
local M = {}

local incipit = require('incipit')

local function edit(command)
  return function(event, argument)
    incipit.edit(command, event.line1, event.line2, argument ~= '' and argument or nil)
  end
end

-- What people ask for most; what was asked for before stands in front.
local asked = {}
local common = { 'simplify this', 'handle errors', 'add types', 'use clearer names', 'make it faster' }

local function rewrite(event, instruction)
  if instruction ~= '' and not vim.tbl_contains(asked, instruction) then table.insert(asked, 1, instruction) end
  incipit.edit('incipit.rewrite', event.line1, event.line2, instruction)
end

-- Each: run(event, rest of the arguments), perhaps complete() for the rest, `plain` when it takes no arguments.
M.subcommands = {
  explain = {
    plain = true,
    run = function(event) incipit.explain(event.line1, event.line2, event.range == 2) end,
  },
  docs = { plain = true, run = edit('incipit.document') },
  tests = { plain = true, run = edit('incipit.tests') },
  fix = { plain = true, run = edit('incipit.fix') },
  rewrite = {
    run = rewrite,
    complete = function() return vim.list_extend(vim.list_extend({}, asked), common) end,
  },
  chat = {
    run = function(event, message)
      local lines = event.range > 0 and { event.line1, event.line2, event.range == 2 } or nil
      incipit.chat(lines, message)
    end,
  },
  status = { plain = true, run = function() incipit.status() end },
  log = { plain = true, run = function() incipit.log() end },
  restart = { plain = true, run = function() incipit.restart() end },
  stop = { plain = true, run = function() incipit.stop() end },
  toggle = { plain = true, run = function() incipit.toggle() end },
}

local function names()
  local sorted = vim.tbl_keys(M.subcommands)
  table.sort(sorted)
  return sorted
end

local function complain(message) vim.notify('incipit: ' .. message, vim.log.levels.ERROR) end

-- `event` as nvim_create_user_command() gives it.
function M.run(event)
  local name, rest = event.args:match('^(%S+)%s*(.*)$')
  local subcommand = M.subcommands[name or 'status']
  if not subcommand then
    return complain(string.format(':Incipit %s: want one of %s', name, table.concat(names(), ', ')))
  end
  if subcommand.plain and (rest or '') ~= '' then
    return complain(string.format(':Incipit %s takes no argument, found "%s"', name, rest))
  end
  subcommand.run(event, rest or '')
end

-- Candidates for the word at the end of the command line.
function M.complete(lead, line)
  local before = line:match('Incipit%s+(.*)$') or ''
  local name, typed = before:match('^(%S+)%s+(.*)$')
  local candidates = names()
  if name then
    local subcommand = M.subcommands[name]
    candidates = subcommand and subcommand.complete and subcommand.complete() or {}
    -- Vim completes word by word: a candidate of several words is offered from the present one on.
    local done = #typed - #lead
    candidates = vim.tbl_map(function(text)
      return text:sub(1, #typed) == typed and text:sub(done + 1) or ''
    end, candidates)
  end
  return vim.tbl_filter(function(text) return text ~= '' and text:sub(1, #lead) == lead end, candidates)
end

return M
