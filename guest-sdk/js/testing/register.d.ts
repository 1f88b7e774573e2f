/** Makes the modules of a template importable in Node.js: `node --import` this module. */
export {};
