(import_statement) @import
(function_declaration name: (_) @name body: (_) @body) @function
(generator_function_declaration name: (_) @name body: (_) @body) @function
(method_definition name: (_) @name body: (_) @body) @function
(lexical_declaration (variable_declarator name: (identifier) @name value: (arrow_function body: (statement_block) @body))) @function
(lexical_declaration (variable_declarator name: (identifier) @name value: (function_expression body: (_) @body))) @function
(class_declaration name: (_) @name body: (_) @body) @type
; CommonJS
(lexical_declaration (variable_declarator value: (call_expression function: (identifier) @_require)) (#eq? @_require "require")) @import
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name))) @value)
