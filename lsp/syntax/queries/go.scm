(package_clause) @import
(import_declaration) @import
(function_declaration name: (_) @name body: (_) @body) @function
(method_declaration name: (_) @name body: (_) @body) @function
(type_declaration (type_spec name: (_) @name type: (struct_type (field_declaration_list) @body))) @type
(type_declaration (type_spec name: (_) @name type: (interface_type))) @type
(const_declaration (const_spec name: (identifier) @name) @value)
(type_declaration (type_spec name: (_) @name)) @value
