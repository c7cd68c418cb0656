(import_statement) @import
(function_declaration name: (_) @name body: (_) @body) @function
(generator_function_declaration name: (_) @name body: (_) @body) @function
(method_definition name: (_) @name body: (_) @body) @function
(lexical_declaration (variable_declarator name: (identifier) @name value: (arrow_function body: (statement_block) @body))) @function
(class_declaration name: (_) @name body: (_) @body) @type
(abstract_class_declaration name: (_) @name body: (_) @body) @type
(interface_declaration name: (_) @name body: (_) @body) @type
(enum_declaration name: (_) @name body: (_) @body) @type
(type_alias_declaration name: (_) @name) @type
(internal_module name: (_) @name body: (_) @body) @type
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name))) @value)
(method_signature name: (_) @name) @declaration
