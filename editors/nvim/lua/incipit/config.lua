-- Defaults, checks of what setup{} was given, and where the program is.
local M = {}

M.defaults = {
  -- Command that starts the server, as a list. nil: `incipit` on PATH, else the build folder of the
  -- checkout that this file lies in.
  cmd = nil,
  filetypes = {
    'c', 'cpp', 'cuda', 'python', 'javascript', 'javascriptreact', 'typescript', 'typescriptreact',
    'go', 'rust', 'java', 'kotlin', 'cs', 'php', 'ruby', 'lua', 'sh', 'bash',
  },
  -- Ask while typing. false: only when keys.trigger is pressed.
  auto = true,
  -- Pause after the last key before asking, in milliseconds. Neovim's own display waits 200.
  debounce_ms = 120,
  -- Who draws suggestions: 'native' (vim.lsp.inline_completion, Neovim 0.12), 'own', or 'auto', which is native where it is.
  ghost_text = 'auto',
  -- Insert-mode keys; false leaves one out. A key does its old work while nothing is suggested.
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
    trigger = '<M-\\>',
  },
  -- The window of explanations and of :Incipit status.
  float = { border = 'rounded', max_width = 84, max_height = 20 },
  -- Where the chat opens, and its width (right, left) or height (bottom).
  chat = { position = 'right', size = 72 },
  -- Settings of the server, as in docs/lsp-extensions.md of incipit.
  settings = {},
}

-- Each check returns whether the value will do, and what is wanted otherwise.
local function is(kind, article)
  return function(value) return type(value) == kind, (article or 'a ') .. kind end
end

local function integer_in(low, high)
  return function(value)
    local fits = type(value) == 'number' and value >= low and value <= high and value % 1 == 0
    return fits, string.format('a number from %d to %d', low, high)
  end
end

local function one_of(...)
  local choices = { ... }
  return function(value) return vim.tbl_contains(choices, value), 'one of ' .. table.concat(choices, ', ') end
end

local function strings(at_least, example)
  return function(value)
    local fits = type(value) == 'table' and #value >= at_least and #value == vim.tbl_count(value)
    for _, item in ipairs(fits and value or {}) do fits = fits and type(item) == 'string' end
    return fits, 'a list such as ' .. example
  end
end

local function key(value)
  return value == false or (type(value) == 'string' and value ~= ''), 'a key such as "<Tab>", or false'
end

local function border(value)
  return type(value) == 'string' or type(value) == 'table', 'a border of nvim_open_win()'
end

local checks = {
  cmd = strings(1, "{ 'incipit', 'lsp' }"),
  filetypes = strings(0, "{ 'python', 'go' }"),
  auto = is('boolean'),
  debounce_ms = integer_in(0, 60000),
  ghost_text = one_of('auto', 'native', 'own'),
  keys = {
    accept = key, accept_word = key, accept_line = key, next = key, previous = key, dismiss = key, trigger = key,
  },
  float = { border = border, max_width = integer_in(20, 1000), max_height = integer_in(1, 1000) },
  chat = { position = one_of('right', 'left', 'bottom'), size = integer_in(4, 1000) },
  settings = is('table'),
}

local function names_of(group)
  local names = vim.tbl_keys(group)
  table.sort(names)
  return 'one of ' .. table.concat(names, ', ')
end

-- Puts what fits of `user` into `config`; `path` is what stands before the names of this group.
local function merge(config, user, group, path, complain)
  for name, value in pairs(user) do
    local check = group[name]
    if check == nil then
      complain(path .. tostring(name), names_of(group), value)
    elseif type(check) == 'table' then
      if type(value) == 'table' then
        merge(config[name], value, check, path .. name .. '.', complain)
      else
        complain(path .. name, 'a table', value)
      end
    else
      local fits, wanted = check(value)
      if fits then
        config[name] = value
      else
        complain(path .. name, wanted, value)
      end
    end
  end
end

-- Returns the merged configuration and a list of complaints, each naming key, wanted and found. A
-- wrong value keeps its default.
function M.resolve(user)
  local config = vim.deepcopy(M.defaults)
  local complaints = {}
  local function complain(name, wanted, found)
    complaints[#complaints + 1] = string.format('setup: %s: want %s, found %s (the default stays)',
      name, wanted, vim.inspect(found))
  end
  if user ~= nil and type(user) ~= 'table' then
    complain('options', 'a table', user)
  else
    merge(config, user or {}, checks, '', complain)
  end
  table.sort(complaints)
  return config, complaints
end

-- Why a buffer gets no server, as the end of a sentence; nil when it gets one.
function M.why_left_alone(config, bufnr)
  if not config then return "require('incipit').setup{} was not called" end
  if vim.bo[bufnr].buftype ~= '' then return 'this buffer is no file' end
  if vim.api.nvim_buf_get_name(bufnr) == '' then return 'this buffer has no file name yet' end
  local filetype = vim.bo[bufnr].filetype
  if vim.tbl_contains(config.filetypes, filetype) then return nil end
  return string.format('the file type "%s" is not in setup{ filetypes }', filetype)
end

-- The folder of the plug-in, three above lua/incipit/config.lua.
local function plugin_folder()
  local source = debug.getinfo(1, 'S').source:gsub('^@', '')
  return vim.fn.fnamemodify(vim.fn.resolve(source), ':p:h:h:h')
end

-- :help finds its pages by the file doc/tags, which plug-in managers make and a checkout does not
-- have. Made here where it is missing or older than the page, and the folder can be written.
function M.make_help_tags()
  local doc = plugin_folder() .. '/doc'
  local page, tags = vim.fn.getftime(doc .. '/incipit.txt'), vim.fn.getftime(doc .. '/tags')
  if page < 0 or tags >= page or vim.fn.filewritable(doc) ~= 2 then return end
  pcall(vim.cmd, 'silent helptags ' .. vim.fn.fnameescape(doc))
end

-- The command line of the server, or nil and the places that were looked at.
function M.server_command(config)
  if config.cmd then
    if vim.fn.executable(config.cmd[1]) == 1 then return config.cmd end
    return nil, { config.cmd[1] .. ' (from setup{cmd})' }
  end
  local built = vim.fn.fnamemodify(plugin_folder(), ':h:h') .. '/build/release/incipit'
  for _, program in ipairs({ vim.fn.exepath('incipit'), built }) do
    if program ~= '' and vim.fn.executable(program) == 1 then return { program, 'lsp' } end
  end
  return nil, { 'incipit on PATH', built }
end

return M
