// Runs the bundle of bot_templates/src/tools/record-text.ts, named by the one argument: it is
// CommonJS, and lies in a folder whose package.json says otherwise.
import { Console } from 'node:console';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction } from 'node:vm';

// Answers alone go to stdout: what a bot's own modules log is not one of them.
globalThis.console = new Console(process.stderr);

const file = process.argv[2];
const exports = {};
const code = readFileSync(file, 'utf8');
compileFunction(code, ['exports', 'module', 'require'], { filename: file })(exports, { exports }, createRequire(file));
await exports.serve();
