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
  -- Pause after the last key before asking, in milliseconds.
  debounce_ms = 120,
  -- Insert-mode keys; false leaves one out. A key does its old work while nothing is suggested.
  keys = {
    accept = '<Tab>',
    accept_word = '<M-Right>',
    accept_line = '<M-Down>',
    dismiss = '<C-]>',
    trigger = '<M-\\>',
  },
  -- Settings of the server, as in docs/lsp-extensions.md of incipit.
  settings = {},
}

local kinds = {
  cmd = 'table', filetypes = 'table', auto = 'boolean', debounce_ms = 'number', keys = 'table',
  settings = 'table',
}

-- Returns the merged configuration and a list of complaints, each naming key, wanted and found. A
-- wrong value keeps its default.
function M.resolve(user)
  local config = vim.deepcopy(M.defaults)
  local complaints = {}
  local function complain(key, wanted, found)
    complaints[#complaints + 1] = string.format('setup: %s: want %s, found %s (the default stays)',
      key, wanted, vim.inspect(found))
  end
  for key, value in pairs(user or {}) do
    if kinds[key] == nil then
      complain(tostring(key), 'one of ' .. table.concat(vim.tbl_keys(kinds), ', '), value)
    elseif type(value) ~= kinds[key] then
      complain(key, 'a ' .. kinds[key], value)
    elseif key == 'debounce_ms' and (value < 0 or value > 60000) then
      complain(key, 'a number from 0 to 60000', value)
    elseif key == 'cmd' and (#value == 0 or type(value[1]) ~= 'string') then
      complain(key, "a list such as { 'incipit', 'lsp' }", value)
    elseif key == 'keys' then
      for name, lhs in pairs(value) do
        if M.defaults.keys[name] == nil then
          complain('keys.' .. tostring(name),
            'one of ' .. table.concat(vim.tbl_keys(M.defaults.keys), ', '), lhs)
        elseif lhs ~= false and type(lhs) ~= 'string' then
          complain('keys.' .. name, 'a key such as "<Tab>", or false', lhs)
        else
          config.keys[name] = lhs
        end
      end
    else
      config[key] = value
    end
  end
  return config, complaints
end

-- Why a buffer gets no server, as the end of a sentence; nil when it gets one.
function M.why_left_alone(config, bufnr)
  if not config then return "require('incipit').setup{} was not called" end
  if vim.api.nvim_buf_get_option(bufnr, 'buftype') ~= '' then return 'this buffer is no file' end
  if vim.api.nvim_buf_get_name(bufnr) == '' then return 'this buffer has no file name yet' end
  local filetype = vim.api.nvim_buf_get_option(bufnr, 'filetype')
  if vim.tbl_contains(config.filetypes, filetype) then return nil end
  return string.format('the file type "%s" is not in setup{ filetypes }', filetype)
end

-- The root of the checkout, five folders above editors/nvim/lua/incipit/config.lua.
local function checkout()
  local source = debug.getinfo(1, 'S').source:gsub('^@', '')
  return vim.fn.fnamemodify(vim.fn.resolve(source), ':p:h:h:h:h:h')
end

-- :help finds its pages by the file doc/tags, which plug-in managers make and a checkout does not
-- have. Made here where it is missing or older than the page, and the folder can be written.
function M.make_help_tags()
  local doc = checkout() .. '/editors/nvim/doc'
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
  local built = checkout() .. '/build/release/incipit'
  for _, program in ipairs({ vim.fn.exepath('incipit'), built }) do
    if program ~= '' and vim.fn.executable(program) == 1 then return { program, 'lsp' } end
  end
  return nil, { 'incipit on PATH', built }
end

return M
