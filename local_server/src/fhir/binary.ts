/** Binary resources over HTTP: raw bytes in, raw bytes out, and presigned storage addresses. */
import { allOk, ContentType, created, isResource } from '@medplum/core';
import type { Binary } from '@medplum/fhirtypes';
import { readBody } from '../http/body.ts';
import type { Exchange } from '../http/exchange.ts';
import { sendBytes, sendFhir, sendStatus, sendText, withCharset } from '../http/reply.ts';
import type { Routes } from '../http/routes.ts';
import { presignedUrl } from './attachments.ts';
import { checkFile } from './fileTypes.ts';

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** Bodies below these paths are bytes, whatever their content type says. */
export function isBinaryPath(path: string): boolean {
  return path === '/fhir/R4/Binary' || path.startsWith('/fhir/R4/Binary/');
}

export function addBinaryRoutes(routes: Routes): void {
  routes
    .add('POST', '/fhir/R4/Binary', write)
    .add('PUT', '/fhir/R4/Binary/:id', write)
    .add('GET', '/fhir/R4/Binary/:id', read)
    .add('GET', '/storage/:id', storage)
    .add('GET', '/storage/:id/:versionId', storage);
}

async function read(x: Exchange): Promise<void> {
  const { repo } = x.authenticated();
  await sendFhir(x, allOk, await repo.readResource<Binary>('Binary', x.params.id as string));
}

async function write(x: Exchange): Promise<void> {
  const { repo } = x.authenticated();
  const create = x.method === 'POST';
  const outcome = create ? created : allOk;
  const id = x.params.id;
  const contentType = x.header('content-type');
  const bytes = await readBody(x.req);
  const resource = contentType === ContentType.FHIR_JSON ? binaryResource(bytes, id) : undefined;
  if (resource) {
    const kept = await (create ? repo.createResource<Binary>(resource) : repo.updateResource<Binary>(resource));
    await sendFhir(x, outcome, kept);
    return;
  }
  const securityContext = x.header('x-security-context');
  const given: Binary = {
    resourceType: 'Binary',
    id,
    contentType: contentType ?? DEFAULT_CONTENT_TYPE,
    securityContext: securityContext ? { reference: securityContext } : undefined,
  };
  const binary = await (create ? repo.createResource<Binary>(given) : repo.updateResource<Binary>(given));
  checkFile(x.query._filename, given.contentType);
  await x.app.binaries.write(binary, bytes);
  await sendFhir(x, outcome, { ...binary, url: presignedUrl(x.app, binary) } as Binary);
}

/** The special case of a body that is itself a Binary resource. */
function binaryResource(bytes: Buffer, id: string | undefined): Binary | undefined {
  try {
    const body: unknown = JSON.parse(bytes.toString('utf8'));
    return isResource<Binary>(body, 'Binary') && (!id || body.id === id) ? body : undefined;
  } catch {
    return undefined;
  }
}

async function storage(x: Exchange): Promise<void> {
  const signature = x.url.searchParams.get('Signature');
  if (!signature) {
    sendStatus(x, 401);
    return;
  }
  const expires = x.query.Expires;
  if (!expires || Date.now() / 1000 > Number.parseInt(expires, 10)) {
    sendText(x, 410, 'URL has expired');
    return;
  }
  // Sealed was the address without its signature, under the server's own name.
  const sealed = new URL(x.url.pathname + x.url.search, x.app.baseUrl);
  sealed.searchParams.delete('Signature');
  if (!x.app.signer.isSealed(sealed.toString(), signature)) {
    sendText(x, 401, 'Invalid signature');
    return;
  }
  const binary = x.app.system.readNow<Binary>('Binary', x.params.id as string);
  let bytes: Buffer;
  try {
    bytes = await x.app.binaries.read(binary);
  } catch {
    sendStatus(x, 404);
    return;
  }
  sendBytes(x, 200, withCharset(binary.contentType), bytes);
}

/** Keeps text as the bytes of a new Binary and returns it. */
export async function createTextBinary(
  x: Exchange,
  text: string,
  contentType: string,
  filename: string
): Promise<Binary & { id: string }> {
  const { repo } = x.authenticated();
  const binary = await repo.createResource<Binary>({ resourceType: 'Binary', contentType });
  checkFile(filename, contentType);
  await x.app.binaries.write(binary, Buffer.from(text, 'utf8'));
  return binary;
}

