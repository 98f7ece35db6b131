import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import vm from 'node:vm';
import { MedplumClient } from '@medplum/core';
import type { BotEvent } from '@medplum/core';
import { build } from 'esbuild';
import nodeFetch from 'node-fetch';

const require = createRequire(import.meta.url);
const root = fileURLToPath(new URL('../../', import.meta.url));

/** The two shapes of the server's context that a bundle must run in. */
export const RELEASES = {
  '5.1.3': { fetch: nodeFetch, process },
  later: { fetch: globalThis.fetch, Headers, Request, Response, ReadableStream, WritableStream, TransformStream },
} as const;

/** A bot as one CommonJS file, made as the bundler of medbots makes it. */
export async function bundle(key: string): Promise<string> {
  const result = await build({
    entryPoints: [`${root}src/bots/${key}.ts`],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    external: [
      'pg',
      'ioredis',
      'bullmq',
      'node-fetch',
      'axios',
      '@medplum/core',
      '@medplum/ccda',
      'jose',
      'zod',
      'uuid',
    ],
    alias: { '@sql': `${root}../sql/queries` },
    loader: { '.sql': 'text' },
    footer: { js: 'Object.assign(exports, module.exports);' },
    write: false,
  });
  return `${result.outputFiles[0]?.text ?? ''};\n`;
}

/** One run of a bundle in a context as bare as the server's. */
export interface VmRun {
  returned?: unknown;
  thrown?: unknown;
  log: string[];
}

/**
 * Runs a bundle as a server of a release does: a fresh context, its globals and no others.
 * @param token - The access token of the run.
 */
export async function runInServerContext(
  code: string,
  release: keyof typeof RELEASES,
  baseUrl: string,
  event: BotEvent<unknown>,
  token = 'bot'
): Promise<VmRun> {
  const log: string[] = [];
  const sandbox = {
    console: { log: (...parts: unknown[]) => log.push(parts.map(String).join(' ')) },
    require,
    MedplumClient,
    TextDecoder,
    TextEncoder,
    URL,
    URLSearchParams,
    event,
    baseUrl,
    token,
    ...RELEASES[release],
  };
  const wrapped = `
    const exports = {};
    const module = { exports };
    ${code}
    (async () => {
      const medplum = new MedplumClient({ baseUrl, fetch: (url, options = {}) => fetch(url, options) });
      medplum.setAccessToken(token);
      return exports.handler(medplum, event);
    })();`;
  try {
    return { returned: await vm.runInNewContext(wrapped, sandbox, { timeout: 10_000 }), log };
  } catch (thrown) {
    return { thrown, log };
  }
}
