; @import: a whole import. @function / @type: a definition; @name its name; @body what a signature leaves out.
; @declaration / @value: what only other files are told of: a prototype, a constant.
(import_statement) @import
(import_from_statement) @import
(future_import_statement) @import
(function_definition name: (identifier) @name body: (block) @body) @function
(class_definition name: (identifier) @name body: (block) @body) @type
(module (expression_statement (assignment left: (identifier) @name)) @value)
