/** Signs tokens (ES256 JSON web tokens) and storage addresses with keys of this data folder. */
import type { KeyObject } from 'node:crypto';
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto';
import type { Database } from '../store/database.ts';

export type Claims = Record<string, unknown>;

const UNITS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800, y: 31_557_600 };
const KEY_ID = 'medbots-local';

export class Signer {
  private readonly key: KeyObject;
  private readonly publicKey: KeyObject;
  private readonly sealKey: Buffer;
  /** The issuer claim: the server's base address. */
  issuer = '';

  constructor(database: Database) {
    this.key = createPrivateKey(kept(database, 'signingKey', newKey));
    this.publicKey = createPublicKey(this.key);
    this.sealKey = Buffer.from(kept(database, 'sealKey', () => randomBytes(32).toString('hex')), 'hex');
  }

  /** @param lifetime - A number with a unit, such as `1h` or `2w`. */
  token(claims: Claims, lifetime: string): string {
    const match = /^(\d+)([smhdwy])$/.exec(lifetime);
    if (!match) {
      throw new Error('Invalid token duration');
    }
    const now = Math.floor(Date.now() / 1000);
    const payload = {
      ...claims,
      iat: now,
      nbf: now,
      iss: this.issuer,
      aud: claims.client_id,
      exp: now + Number(match[1]) * (UNITS[match[2] as string] ?? 1),
    };
    const text = `${encode({ alg: 'ES256', kid: KEY_ID, typ: 'JWT' })}.${encode(payload)}`;
    const signature = sign('sha256', Buffer.from(text), { key: this.key, dsaEncoding: 'ieee-p1363' });
    return `${text}.${signature.toString('base64url')}`;
  }

  /** The claims of a token that is ours and not expired, else undefined. */
  claims(token: string): Claims | undefined {
    const [head, body, signature, ...rest] = token.split('.');
    if (!head || !body || !signature || rest.length) {
      return undefined;
    }
    const key = { key: this.publicKey, dsaEncoding: 'ieee-p1363' as const };
    if (!verify('sha256', Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'))) {
      return undefined;
    }
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Claims;
    return Number(claims.exp) > Date.now() / 1000 ? claims : undefined;
  }

  /** The public key set for `/.well-known/jwks.json`. */
  keySet(): { keys: object[] } {
    return { keys: [{ ...this.publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'ES256', use: 'sig' }] };
  }

  /** A signature for an address that anybody who holds it may read. */
  seal(text: string): string {
    return createHmac('sha256', this.sealKey).update(text).digest('base64');
  }

  isSealed(text: string, seal: string): boolean {
    return sameText(this.seal(text), seal);
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function kept(database: Database, name: string, make: () => string): string {
  const value = database.setting(name) ?? make();
  database.keep(name, value);
  return value;
}

function newKey(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
}

/** Compares without telling by its time how much was equal. */
export function sameText(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) {
    return false;
  }
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Random hexadecimal text of `bytes` bytes. */
export function newSecret(bytes: number): string {
  return randomBytes(bytes).toString('hex');
}
