(use_declaration) @import
(extern_crate_declaration) @import
(function_item name: (_) @name body: (_) @body) @function
(struct_item name: (_) @name body: (field_declaration_list) @body) @type
(enum_item name: (_) @name body: (_) @body) @type
(trait_item name: (_) @name body: (_) @body) @type
(impl_item type: (_) @name body: (_) @body) @type
(mod_item name: (_) @name body: (_) @body) @type
(type_item name: (_) @name) @type
(const_item name: (_) @name) @value
(function_signature_item name: (_) @name) @declaration
(macro_definition name: (_) @name) @value
