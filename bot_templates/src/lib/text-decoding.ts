/** What a content type says: `text/plain; charset=iso-8859-1`. */
export interface MediaType {
  /** In lower case, without parameters. */
  type: string;
  charset: string | undefined;
}

export function parseMediaType(contentType: string): MediaType {
  const [type = '', ...parameters] = contentType.split(';');
  const charset = parameters.map((each) => /^\s*charset\s*=\s*"?([\w.:-]+)"?\s*$/i.exec(each)?.[1]).find(Boolean);
  return { type: type.trim().toLowerCase(), charset };
}

/**
 * Bytes as text.
 *
 * The charset is the declared one, else that of a byte order mark or of the document itself (XML, HTML), else
 * UTF-8, and Windows-1252 where the bytes are no UTF-8.
 * @returns The text, or why the bytes are none.
 */
export function decodeText(bytes: Uint8Array, charset: string | undefined): { text: string } | { reason: string } {
  if (startsWith(bytes, '%PDF')) {
    return { reason: 'it is a PDF, whatever its content type says' };
  }
  if (startsWith(bytes, '{\\rtf')) {
    return { reason: 'it is RTF, whatever its content type says' };
  }
  const label = charset ?? markedCharset(bytes) ?? documentCharset(bytes);
  let text: string;
  try {
    text = label === undefined ? utf8OrWindows1252(bytes) : new TextDecoder(label).decode(bytes);
  } catch {
    return { reason: `its charset ${label} is not known` };
  }
  return isText(text) ? { text } : { reason: 'it is binary, whatever its content type says' };
}

function utf8OrWindows1252(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

/** The charset of a byte order mark. */
function markedCharset(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return 'utf-8';
  }
  if (bytes[0] === 0xfe && bytes[1] === 0xff) {
    return 'utf-16be';
  }
  return bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : undefined;
}

/** The charset that XML or HTML declares of itself. */
function documentCharset(bytes: Uint8Array): string | undefined {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, 1_024));
  return (/^\s*<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)["']/i.exec(start) ??
    /<meta[^>]+charset\s*=\s*["']?([\w.:-]+)/i.exec(start))?.[1];
}

function startsWith(bytes: Uint8Array, mark: string): boolean {
  return [...mark].every((character, position) => bytes[position] === character.charCodeAt(0));
}

/** Text has next to no control characters. */
function isText(text: string): boolean {
  const sample = text.slice(0, 20_000);
  const controls = sample.match(/[\u0000-\u0008\u000e-\u001a\u001c-\u001f\ufffd]/g)?.length ?? 0;
  return controls <= sample.length / 50;
}
