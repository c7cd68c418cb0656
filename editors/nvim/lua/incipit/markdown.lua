-- Colours for Markdown that is still being written, code blocks included. The file type stays empty: plug-ins and servers
-- for Markdown files have nothing to do in such a buffer.
local M = {}

local api = vim.api

-- Names of languages after ``` whose syntax file has another name.
local syntax_names = {
  ['c++'] = 'cpp', js = 'javascript', ts = 'typescript', py = 'python', rs = 'rust', bash = 'sh', shell = 'sh',
  cuda = 'cpp', csharp = 'cs', ['c#'] = 'cs', kt = 'kotlin', rb = 'ruby',
}

-- The regions of one language inside ``` fences. A language without a syntax file stays plain.
local function include(bufnr, language)
  local name = language:lower()
  name = syntax_names[name] or name
  if #api.nvim_get_runtime_file('syntax/' .. name .. '.vim', false) == 0 then return end
  local cluster = 'incipit_' .. name:gsub('%W', '_')
  api.nvim_buf_call(bufnr, function()
    vim.b.current_syntax = nil  -- each syntax file stops when it is set
    local ok = pcall(vim.cmd, string.format('syntax include @%s syntax/%s.vim', cluster, name))
    if ok then
      vim.cmd(string.format(
        [[syntax region %s matchgroup=markdownCodeDelimiter start="^\s*\z(`\{3,}\)\s*%s\s*$" end="^\s*\z1`*\s*$" keepend contains=@%s]],
        cluster .. '_block', vim.fn.escape(language, '"\\/.*$^~[]'), cluster))
    end
    vim.b.current_syntax = 'markdown'
  end)
end

-- Starts highlighting of a buffer.
function M.attach(bufnr)
  vim.b[bufnr].incipit_languages = vim.empty_dict()
  -- 0.10 brings a parser for Markdown and follows code blocks by itself.
  if vim.fn.has('nvim-0.10') == 1 and vim.treesitter and pcall(vim.treesitter.start, bufnr, 'markdown') then
    vim.b[bufnr].incipit_treesitter = true
    return
  end
  vim.bo[bufnr].syntax = 'markdown'
end

-- Looks for languages of code blocks in these lines that were not there before.
function M.update(bufnr, lines)
  if vim.b[bufnr].incipit_treesitter then return end
  local known = vim.b[bufnr].incipit_languages or {}
  for _, line in ipairs(lines) do
    local language = line:match('^%s*```+%s*([%w+#_-]+)%s*$')
    if language and not known[language] then
      known[language] = true
      vim.b[bufnr].incipit_languages = known
      include(bufnr, language)
    end
  end
end

function M.set_up_window(winid)
  for name, value in pairs({
    wrap = true, linebreak = true, breakindent = true, conceallevel = 2, concealcursor = 'n', spell = false,
    number = false, relativenumber = false, signcolumn = 'no', foldenable = false,
  }) do
    vim.wo[winid][name] = value
  end
end

-- Puts text into a buffer that the user cannot change, in place of all that is there.
function M.set(bufnr, text)
  local lines = vim.split(text, '\n', { plain = true })
  vim.bo[bufnr].modifiable = true
  api.nvim_buf_set_lines(bufnr, 0, -1, false, lines)
  vim.bo[bufnr].modifiable = false
  M.update(bufnr, lines)
end

-- Puts text behind what is there.
function M.append(bufnr, text)
  local last = api.nvim_buf_line_count(bufnr) - 1
  local line = api.nvim_buf_get_lines(bufnr, last, last + 1, false)[1]
  vim.bo[bufnr].modifiable = true
  api.nvim_buf_set_text(bufnr, last, #line, last, #line, vim.split(text, '\n', { plain = true }))
  vim.bo[bufnr].modifiable = false
  M.update(bufnr, api.nvim_buf_get_lines(bufnr, last, -1, false))
end

-- To the register for pasting, and to the system's where there is one.
function M.copy(text)
  vim.fn.setreg('"', text)
  if vim.fn.has('clipboard') == 1 then vim.fn.setreg('+', text) end
  vim.notify('incipit: copied')
end

return M
