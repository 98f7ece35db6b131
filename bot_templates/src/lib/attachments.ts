import { Buffer } from 'node:buffer';
import type { MedplumClient } from '@medplum/core';
import type { Attachment, Binary } from '@medplum/fhirtypes';
import { clinicalDocumentToText, isClinicalDocument } from './ccda-text.ts';
import { BotFailure } from './failure.ts';
import { htmlToText } from './html-text.ts';
import { decodeText, parseMediaType } from './text-decoding.ts';
import { withTimeLimit } from './time-limit.ts';

/** An attachment's text, or why it has none. */
export type AttachmentText = { text: string; reason?: never } | { text?: never; reason: string };

/** The largest content that is read. */
export const GREATEST_BYTES = 5 * 1024 * 1024;
const READ_LIMIT_MS = 5_000;

const PLAIN = ['text/plain', 'text/markdown', 'text/x-markdown'];
const HTML = ['text/html', 'application/xhtml+xml'];
const XML = ['text/xml', 'application/xml', 'application/hl7-cda+xml', 'application/cda+xml', 'application/hl7-v3+xml'];

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';

/**
 * The text of an attachment.
 *
 * Plain text and Markdown are taken as they are, HTML and C-CDA put into text; nothing else is ever decoded.
 * Content comes from the attachment itself or from a Binary of this server, over FHIR with the bot's own rights:
 * of a storage URL only the Binary's id is used, and no other host is ever contacted.
 */
export async function attachmentText(
  medplum: MedplumClient,
  attachment: Attachment,
  owner?: Owner
): Promise<AttachmentText> {
  return textOfAttachment(
    { baseUrl: medplum.getBaseUrl(), read: (id, refusal) => readBinary(medplum, id, refusal) },
    attachment,
    owner
  );
}

/** The same, over whatever reads the server's Binaries. */
export async function textOfAttachment(
  binaries: Binaries,
  attachment: Attachment,
  owner?: Owner
): Promise<AttachmentText> {
  if (!attachment.contentType) {
    return { reason: 'it has no content type' };
  }
  const { type, charset } = parseMediaType(attachment.contentType);
  if (!isText(type)) {
    return { reason: NOT_TEXT };
  }
  const content = await readContent(binaries, attachment, owner);
  if ('reason' in content) {
    return content;
  }
  const decoded = decodeText(content.bytes, charset);
  if ('reason' in decoded) {
    return decoded;
  }
  if (HTML.includes(type)) {
    return { text: htmlToText(decoded.text) };
  }
  if (XML.includes(type)) {
    return isClinicalDocument(decoded.text)
      ? { text: clinicalDocumentToText(decoded.text) }
      : { reason: 'it is XML, but no clinical document (CDA)' };
  }
  return { text: decoded.text };
}

/** A Binary's bytes, or why they could not be had. */
export type Content = { bytes: Uint8Array } | { reason: string };

/** What the server keeps of a Binary beside its bytes. */
export type BinaryFacts = Pick<Binary, 'contentType' | 'securityContext'>;

/** Where the content of attachments lies. */
export interface Binaries {
  /** The server's, by which a URL is known as its own. */
  baseUrl: string;
  /**
   * @param refusal - Why a Binary must not be read, by what is kept of it; asked before its bytes are.
   */
  read(id: string, refusal: (facts: BinaryFacts) => string | undefined): Promise<Content>;
}

/** Whose the attachment is. */
export interface Owner {
  /** `Type/id` of the record that has it. */
  record: string;
  /** `Patient/id` */
  patient: string | undefined;
}

const NOT_TEXT = 'content of this type is not read as text';

function isText(type: string): boolean {
  return [...PLAIN, ...HTML, ...XML].includes(type);
}

/**
 * Why a Binary is not this record's to quote.
 *
 * Whoever writes a record chooses the URL, and a bot reads with its own rights: a Binary that is kept for another
 * record or patient, or that is no text by its own account, such as the code of a bot, must not come out that way.
 */
export function refusalOf({ contentType, securityContext }: BinaryFacts, owner?: Owner): string | undefined {
  if (!isText(parseMediaType(contentType ?? '').type)) {
    return NOT_TEXT;
  }
  const kept = securityContext?.reference;
  if (securityContext === undefined || (kept !== undefined && [owner?.record, owner?.patient].includes(kept))) {
    return undefined;
  }
  return 'its Binary is kept for another record';
}

async function readContent(binaries: Binaries, attachment: Attachment, owner?: Owner): Promise<Content> {
  if (attachment.data !== undefined) {
    return decodeBase64(attachment.data);
  }
  if (attachment.url === undefined) {
    return { reason: 'it has no content' };
  }
  const id = binaryId(attachment.url, binaries.baseUrl);
  if (id === undefined) {
    return { reason: 'its URL is not on this server' };
  }
  if ((attachment.size ?? 0) > GREATEST_BYTES) {
    return { reason: tooLarge() };
  }
  return binaries.read(id, (facts) => refusalOf(facts, owner));
}

function decodeBase64(data: string): Content {
  const compact = data.replace(/\s+/g, '');
  if (compact.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) {
    return { reason: 'its data is no base64' };
  }
  const bytes = Buffer.from(compact, 'base64');
  return bytes.length > GREATEST_BYTES ? { reason: tooLarge() } : { bytes };
}

/** The id of this server's Binary that a URL means: a reference, a FHIR URL or a signed storage URL. */
export function binaryId(url: string, baseUrl: string): string | undefined {
  const reference = new RegExp(`^Binary/(${UUID})(?:/_history/${UUID})?$`, 'i').exec(url);
  if (reference) {
    return reference[1];
  }
  if (!URL.canParse(url) || new URL(url).origin !== new URL(baseUrl).origin) {
    return undefined;
  }
  const path = new RegExp(
    `(?:/fhir/R4/Binary/(${UUID})(?:/_history/${UUID})?|/storage/(${UUID})(?:/${UUID})?)$`,
    'i'
  ).exec(new URL(url).pathname);
  return path?.[1] ?? path?.[2];
}

/** Reads a Binary's bytes. MedplumClient's own download takes an error's body for the content. */
async function readBinary(
  medplum: MedplumClient,
  id: string,
  refusal: (facts: BinaryFacts) => string | undefined
): Promise<Content> {
  try {
    return await withTimeLimit('Reading an attachment', READ_LIMIT_MS, async (signal) => {
      const get = (accept: string) =>
        fetch(medplum.fhirUrl('Binary', id).toString(), {
          headers: { Accept: accept, Authorization: `Bearer ${medplum.getAccessToken()}` },
          redirect: 'error',
          signal,
        });
      // Asked for as FHIR, the server tells of the Binary and keeps its bytes to itself.
      const told = await get('application/fhir+json');
      const facts = await told.text();
      if (told.status !== 200) {
        return { reason: `its Binary answered HTTP ${told.status}` };
      }
      const reason = refusal(JSON.parse(facts) as BinaryFacts);
      if (reason !== undefined) {
        return { reason };
      }
      const response = await get('*/*');
      if (response.status !== 200) {
        await response.text();
        return { reason: `its Binary answered HTTP ${response.status}` };
      }
      return collect(response.body as unknown as AsyncIterable<Uint8Array>);
    });
  } catch (error) {
    const late = error instanceof BotFailure && error.code === 'TIMEOUT';
    return { reason: late ? `its Binary took longer than ${READ_LIMIT_MS} ms` : 'its Binary could not be read' };
  }
}

/** The body's bytes, up to the limit: a Node stream from node-fetch, a web stream from Node's own fetch. */
async function collect(body: AsyncIterable<Uint8Array>): Promise<Content> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of body) {
    length += part.length;
    if (length > GREATEST_BYTES) {
      return { reason: tooLarge() };
    }
    parts.push(part);
  }
  return { bytes: Buffer.concat(parts) };
}

/** Why content beyond `GREATEST_BYTES` is not read. */
export function tooLarge(): string {
  return `it is larger than ${GREATEST_BYTES / 1024 / 1024} MB`;
}
