-- Suggestions, whoever draws them: ghost_text.lua (ours) or native_completion.lua (Neovim's).
local compat = require('incipit.compat')

local M = {}

local backend = nil
local enabled = true

-- Neovim's own cannot be asked by hand, so it does not serve those who want nothing else.
local function choose(config)
  local native = compat.has_native_completion()
  if config.ghost_text ~= 'own' and native and config.auto then return 'native' end
  return 'own'
end

function M.setup(config)
  M.drawn_by = choose(config)
  backend = require(M.drawn_by == 'native' and 'incipit.native_completion' or 'incipit.ghost_text')
  backend.setup(config)
end

-- How suggestions come to the screen, for :checkhealth.
function M.describe()
  if M.drawn_by == 'native' then return 'by Neovim itself (vim.lsp.inline_completion)' end
  return compat.has_inline_virtual_text() and 'as inline virtual text' or 'over the rest of the line (before Neovim 0.10)'
end

-- A key of this name was pressed. press() tells whether it has something to do and may begin it; act() does the rest, once
-- text may be changed.
function M.press(name) return backend.press(name) end
function M.act(name) backend.act(name) end

-- Both at once, for mappings of the user's own. Returns whether there was something to do.
function M.run(name)
  if not backend or not backend.press(name) then return false end
  backend.act(name)
  return true
end

function M.visible() return backend ~= nil and backend.visible() end

function M.set_enabled(value)
  enabled = value
  if backend then backend.set_enabled(value) end
end

function M.enabled() return enabled end

return M
