(call method: (identifier) @_require (#any-of? @_require "require" "require_relative" "load")) @import
(method name: (_) @name body: (body_statement) @body) @function
; nothing in it yet: a cursor there stands before the "end"
(method name: (_) @name !body "end" @body) @function
(method name: (_) @name "=") @function
(singleton_method name: (_) @name body: (body_statement) @body) @function
(singleton_method name: (_) @name !body "end" @body) @function
(class name: (_) @name body: (_) @body) @type
(class name: (_) @name !body "end" @body) @type
(module name: (_) @name body: (_) @body) @type
(module name: (_) @name !body "end" @body) @type
(assignment left: (constant) @name) @value
