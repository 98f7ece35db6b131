/** Time-based one-time passwords (RFC 6238): SHA-1, six digits, 30 seconds, one step of tolerance. */
import { createHmac, randomBytes } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const STEP_MS = 30_000;
const DIGITS = 6;

export function newTotpSecret(): string {
  return [...randomBytes(16)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('');
}

export function totp(secret: string, time = Date.now()): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(time / STEP_MS)));
  const mac = createHmac('sha1', decodeBase32(secret)).update(counter).digest();
  const offset = (mac.at(-1) ?? 0) & 0xf;
  const code = mac.readUInt32BE(offset) & 0x7fffffff;
  return String(code % 10 ** DIGITS).padStart(DIGITS, '0');
}

export function isTotp(token: string, secret: string, time = Date.now()): boolean {
  return [-1, 0, 1].some((step) => totp(secret, time + step * STEP_MS) === token);
}

/** The address that an authenticator app reads from the QR code. */
export function totpUri(account: string, secret: string): string {
  const issuer = encodeURIComponent('medplum.com');
  return `otpauth://totp/${issuer}:${encodeURIComponent(account)}?secret=${secret}&period=30&digits=6&algorithm=SHA1&issuer=${issuer}`;
}

function decodeBase32(text: string): Buffer {
  let bits = '';
  for (const char of text.toUpperCase().replace(/=+$/, '')) {
    bits += Math.max(0, ALPHABET.indexOf(char)).toString(2).padStart(5, '0');
  }
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}
