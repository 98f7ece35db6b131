/** Reads and parses request bodies, with the real server's limits. */
import { badRequest, ContentType, OperationOutcomeError } from '@medplum/core';
import type { IncomingMessage } from 'node:http';
import { gunzipSync, inflateSync } from 'node:zlib';
import type { Exchange } from './exchange.ts';

const JSON_LIMIT = 1024 * 1024;
const FORM_LIMIT = 100 * 1024;
/** No limit is known for raw bodies; this one protects the machine. */
const RAW_LIMIT = 512 * 1024 * 1024;

/** Fills `x.body`. Types that nobody parses leave it an empty object. */
export async function parseBody(x: Exchange): Promise<void> {
  const type = x.mediaType;
  const isJson = type === ContentType.JSON || /^application\/.+\+json$/.test(type);
  const isText = type === ContentType.TEXT || type === ContentType.HL7_V2;
  const isForm = type === ContentType.FORM_URL_ENCODED;
  if (!isJson && !isText && !isForm) {
    x.req.resume();
    return;
  }
  const text = (await readBody(x.req, isJson ? JSON_LIMIT : FORM_LIMIT)).toString('utf8');
  if (isForm) {
    x.body = Object.fromEntries(new URLSearchParams(text));
  } else if (isText) {
    x.body = text;
  } else if (text !== '') {
    x.body = parseJson(text);
  }
}

function parseJson(text: string): unknown {
  // Only objects and arrays are taken, as by the real server's strict parser.
  if (!/^\s*[{[]/.test(text)) {
    throw new OperationOutcomeError(badRequest('Content could not be parsed'));
  }
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new OperationOutcomeError(badRequest('Content could not be parsed'));
  }
}

/** @throws OperationOutcomeError `File too large`, or for an encoding that is not known */
export async function readBody(req: IncomingMessage, limit = RAW_LIMIT): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limit) {
      chunks.push(chunk);
    }
  }
  if (size > limit) {
    throw new OperationOutcomeError(badRequest('File too large'));
  }
  const bytes = decode(Buffer.concat(chunks), req.headers['content-encoding']);
  if (bytes.length > limit) {
    throw new OperationOutcomeError(badRequest('File too large'));
  }
  return bytes;
}

function decode(bytes: Buffer, encoding: string | undefined): Buffer {
  switch (encoding?.toLowerCase() ?? 'identity') {
    case 'identity':
      return bytes;
    case 'gzip':
      return gunzipSync(bytes);
    case 'deflate':
      return inflateSync(bytes);
    default:
      throw new OperationOutcomeError(badRequest('Unsupported content encoding'));
  }
}
