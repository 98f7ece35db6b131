/** Moves the bytes of a Binary resource out of it, into the file that belongs to its version. */
import { badRequest, OperationOutcomeError } from '@medplum/core';
import type { Binary, Resource } from '@medplum/fhirtypes';
import type { App } from '../app.ts';

const MAX_BYTES = 1024 * 1024;

/**
 * Takes `data` from the Binary, in place, and returns the work to do once the resource is kept. A new
 * version without data has its predecessor's bytes.
 */
export function afterBinaryWrite(app: App, existing: Resource | undefined, binary: Binary): (() => Promise<void>) | undefined {
  if (binary.data) {
    const bytes = Buffer.from(binary.data, 'base64');
    if (bytes.length > MAX_BYTES) {
      throw new OperationOutcomeError(badRequest(`base64Binary exceeds ${MAX_BYTES} bytes`));
    }
    delete binary.data;
    const target = { ...binary };
    return () => app.binaries.write(target, bytes);
  }
  return existing ? () => app.binaries.copy(existing as Binary, binary) : undefined;
}
