/**
 * Addresses of Binary resources: kept as `Binary/<id>`, and given out as presigned storage addresses,
 * which anybody who holds one can read for an hour.
 */
import type { Binary } from '@medplum/fhirtypes';
import type { App } from '../app.ts';
import type { Reader } from './reader.ts';

const LIFETIME_SECONDS = 3600;

/** Replaces storage addresses by references, everywhere in the value. */
export function withReferences<T>(app: App, value: T): T {
  return rewrite(value, (url) => {
    const { id } = parse(app, url);
    return id ? `Binary/${id}` : url;
  });
}

/** Replaces references by presigned addresses, as far as the reader may read the Binary. */
export function withPresignedUrls<T>(repo: Reader, value: T): T {
  const cache = new Map<string, string>();
  return rewrite(value, (url) => {
    const { id, versionId } = parse(repo.app, url);
    if (!id) {
      return url;
    }
    let result = cache.get(url);
    if (!result) {
      result = presign(repo, id, versionId) ?? `Binary/${id}`;
      cache.set(url, result);
    }
    return result;
  });
}

function presign(repo: Reader, id: string, versionId: string | undefined): string | undefined {
  try {
    const binary = (versionId ? repo.readVersionNow('Binary', id, versionId) : repo.readNow('Binary', id)) as Binary;
    if (binary.securityContext) {
      repo.readReferenceNow(binary.securityContext);
    }
    return presignedUrl(repo.app, binary);
  } catch {
    return undefined;
  }
}

export function presignedUrl(app: App, binary: Binary): string {
  const url = new URL(`${app.baseUrl}storage/${binary.id}/${binary.meta?.versionId}`);
  url.searchParams.set('Expires', String(Math.floor(Date.now() / 1000) + LIFETIME_SECONDS));
  url.searchParams.set('Signature', app.signer.seal(url.toString()));
  return url.toString();
}

function rewrite<T>(value: T, replace: (url: string) => string): T {
  if (Array.isArray(value)) {
    return value.map((item) => rewrite(item as unknown, replace)) as T;
  }
  if (typeof value !== 'object' || value === null || (value as { resourceType?: string }).resourceType === 'Binary') {
    return value;
  }
  const result: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(value)) {
    const isAddress = (key === 'url' || key === 'path') && typeof child === 'string';
    result[key] = isAddress ? replace(child) : rewrite(child as unknown, replace);
  }
  return result as T;
}

function parse(app: App, url: string): { id?: string; versionId?: string } {
  for (const base of [`${app.baseUrl}fhir/R4/Binary/`, `${app.baseUrl}storage/`, 'Binary/']) {
    if (url.startsWith(base)) {
      const [id, history, versionId] = url.slice(base.length).split('/');
      return history === '_history' ? { id, versionId } : { id };
    }
  }
  return {};
}
