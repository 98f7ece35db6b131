/** Answers, in the real server's forms. */
import { ContentType, getStatus, isAccepted, isCreated, stringify } from '@medplum/core';
import type { FhirResponseOptions } from '@medplum/fhir-router';
import type { Binary, OperationOutcome, Resource } from '@medplum/fhirtypes';
import { STATUS_CODES } from 'node:http';
import { withPresignedUrls } from '../fhir/attachments.ts';
import type { Exchange } from './exchange.ts';
import { tracingExtension } from './exchange.ts';
import { rateLimitHeader } from './rateLimits.ts';

/** Says in every answer what answers. */
export const SERVER_NAME = 'medbots local server, not Medplum';

/** The release of Medplum whose behaviour this server has, whatever the release of the packages in it. */
export const STANDS_IN_FOR = '5.1.3';

const STANDARD_HEADERS: Record<string, string> = {
  'Cache-Control': 'no-store, no-cache, must-revalidate',
  Pragma: 'no-cache',
  'Content-Security-Policy': "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none';",
  'Permissions-Policy':
    'accelerometer=(), camera=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), payment=(), usb=(), interest-cohort=()',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'X-XSS-Protection': '1; mode=block',
  'X-Medbots-Server': SERVER_NAME,
};

export function setStandardHeaders(x: Exchange): void {
  for (const [name, value] of Object.entries(STANDARD_HEADERS)) {
    x.res.setHeader(name, value);
  }
}

export function sendBytes(x: Exchange, status: number, contentType: string, body: Uint8Array | string): void {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body;
  const spent = x.quota?.last;
  if (spent) {
    x.res.appendHeader('RateLimit', rateLimitHeader('fhirInteractions', spent));
  }
  x.res.statusCode = status;
  x.res.setHeader('Content-Type', contentType);
  x.res.setHeader('Content-Length', bytes.length);
  x.res.end(x.method === 'HEAD' ? undefined : bytes);
}

export function sendText(x: Exchange, status: number, text: string, contentType = 'text/html; charset=utf-8'): void {
  sendBytes(x, status, contentType, text);
}

/** The name of the status as plain text, as Express's sendStatus does. */
export function sendStatus(x: Exchange, status: number): void {
  sendText(x, status, STATUS_CODES[status] ?? String(status), 'text/plain; charset=utf-8');
}

export function sendJson(x: Exchange, status: number, body: unknown, contentType: string = ContentType.JSON): void {
  const pretty = x.query._pretty === 'true';
  const text =
    contentType === ContentType.FHIR_JSON
      ? stringify(body, pretty)
      : JSON.stringify(body, undefined, pretty ? 2 : undefined);
  sendText(x, status, text ?? '', `${contentType}; charset=utf-8`);
}

export function sendOutcome(x: Exchange, outcome: OperationOutcome): void {
  const location = outcome.issue?.[0]?.diagnostics;
  if (isAccepted(outcome) && location) {
    x.res.setHeader('Content-Location', location);
  }
  const tracing = x.traced ? tracingExtension(x.trace) : undefined;
  const extension = [...(tracing ? [tracing] : []), ...(outcome.extension ?? [])];
  sendJson(x, getStatus(outcome), { ...outcome, extension }, ContentType.FHIR_JSON);
}

export async function sendFhir(
  x: Exchange,
  outcome: OperationOutcome,
  resource: Resource,
  options?: FhirResponseOptions
): Promise<void> {
  const { versionId, lastUpdated } = resource.meta ?? {};
  if (versionId) {
    x.res.setHeader('ETag', `W/"${versionId}"`);
  }
  if (lastUpdated) {
    x.res.setHeader('Last-Modified', new Date(lastUpdated).toUTCString());
  }
  if (isCreated(outcome)) {
    x.res.setHeader('Location', `${x.app.baseUrl}fhir/R4/${resource.resourceType}/${resource.id}`);
  }
  const rawBinary =
    resource.resourceType === 'Binary' &&
    ((x.method === 'GET' && !x.header('accept')?.startsWith(ContentType.FHIR_JSON)) || options?.forceRawBinaryResponse);
  if (rawBinary) {
    await sendBinary(x, getStatus(outcome), resource as Binary);
    return;
  }
  const body = withPresignedUrls(x.authenticated().repo, resource);
  sendJson(x, getStatus(outcome), body, options?.contentType ?? ContentType.FHIR_JSON);
}

export async function sendBinary(x: Exchange, status: number, binary: Binary): Promise<void> {
  const bytes = binary.data ? Buffer.from(binary.data, 'base64') : await x.app.binaries.read(binary);
  sendBytes(x, status, withCharset(binary.contentType), bytes);
}

/** Express names a character set for the types that have one. */
export function withCharset(contentType: string): string {
  const needs = /^(text\/|application\/(json|javascript|xml)$|application\/.*\+(json|xml)$)/.test(contentType);
  return needs && !contentType.includes('charset') ? `${contentType}; charset=utf-8` : contentType;
}
