; @import: a whole import. @function / @type: a definition; @name its name; @body what a signature leaves out.
(import_statement) @import
(import_from_statement) @import
(future_import_statement) @import
(function_definition name: (identifier) @name body: (block) @body) @function
(class_definition name: (identifier) @name body: (block) @body) @type
