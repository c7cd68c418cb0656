-- Byte columns of buffer lines <-> LSP characters, in the encoding the client and server agreed on.
-- Own code, as Neovim's functions for it changed names and arguments between 0.7 and 0.11.
local M = {}

-- Length in bytes of the UTF-8 character that starts with this byte; a stray byte counts as one.
local function char_bytes(lead)
  if lead < 0xC2 then return 1 end
  if lead < 0xE0 then return 2 end
  if lead < 0xF0 then return 3 end
  return 4
end

local function char_units(lead, encoding)
  if encoding == 'utf-8' then return char_bytes(lead) end
  return (encoding == 'utf-16' and lead >= 0xF0) and 2 or 1
end

function M.to_character(line, byte_col, encoding)
  if encoding == 'utf-8' then return math.min(byte_col, #line) end
  local at, units = 1, 0
  while at <= #line and at <= byte_col do
    local lead = line:byte(at)
    units = units + char_units(lead, encoding)
    at = at + char_bytes(lead)
  end
  return units
end

-- A character past the end is the end of the line, as LSP says.
function M.to_byte(line, character, encoding)
  if encoding == 'utf-8' then return math.min(character, #line) end
  local at, units = 1, 0
  while at <= #line and units < character do
    local lead = line:byte(at)
    units = units + char_units(lead, encoding)
    at = at + char_bytes(lead)
  end
  return math.min(at - 1, #line)
end

-- LSP position of a 0-based row and byte column in a buffer.
function M.of(bufnr, row, byte_col, encoding)
  local line = vim.api.nvim_buf_get_lines(bufnr, row, row + 1, false)[1] or ''
  return { line = row, character = M.to_character(line, byte_col, encoding) }
end

return M
