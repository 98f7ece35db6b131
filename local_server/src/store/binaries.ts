/** The bytes of Binary resources: a file each, `binary/<id>/<versionId>` under the data folder. */
import { copyFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Binary } from '@medplum/fhirtypes';
import { isUUID } from '@medplum/core';

export class Binaries {
  constructor(private readonly dataDir: string) {}

  private path(id: string | undefined, versionId: string | undefined): string {
    if (!isUUID(id ?? '') || !isUUID(versionId ?? '')) {
      throw new Error('File not found');
    }
    return join(this.dataDir, 'binary', id as string, versionId as string);
  }

  /** Writes beside and renames, so that a reader never meets half a file. */
  async write(binary: Binary, bytes: Uint8Array): Promise<void> {
    const path = this.path(binary.id, binary.meta?.versionId);
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    const file = await open(`${path}.part`, 'w', 0o600);
    try {
      await file.writeFile(bytes);
    } finally {
      await file.close();
    }
    await rename(`${path}.part`, path);
  }

  /** @throws Error `File not found` */
  async read(binary: Binary): Promise<Buffer> {
    try {
      return await readFile(this.path(binary.id, binary.meta?.versionId));
    } catch {
      throw new Error('File not found');
    }
  }

  async copy(from: Binary, to: Binary): Promise<void> {
    const source = this.path(from.id, from.meta?.versionId);
    await copyFile(source, this.path(to.id, to.meta?.versionId)).catch(() => undefined);
  }

  async remove(id: string): Promise<void> {
    if (isUUID(id)) {
      await rm(join(this.dataDir, 'binary', id), { recursive: true, force: true });
    }
  }
}
