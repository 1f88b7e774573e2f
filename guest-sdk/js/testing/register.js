/**
 * Makes the modules of a template importable in Node.js, for native tests:
 *
 *     node --import sitewright/testing/register --test
 */
import { register } from 'node:module';

register('./hooks.js', import.meta.url);
process.setSourceMapsEnabled(true);
