// Entry of the bundle that runs in the extension's webviews (explanations, chat).
export {};
