/** File types that the real server refuses to store. */
import { badRequest, OperationOutcomeError } from '@medplum/core';

const EXTENSIONS =
  'ade adp apk appx appxbundle bat cab chm cmd com cpl dll dmg ex ex_ exe hta ins isp iso jar jse lib lnk mde msc msi msix msixbundle msp mst nsh php pif ps1 scr sct shb sys vb vbe vbs vxd wsc wsf wsh'.split(' ');
const CONTENT_TYPES = [
  'application/java-archive',
  'application/x-msdownload',
  'application/x-sh',
  'application/vnd.apple.installer+xml',
  'application/vnd.microsoft.portable-executable',
];

/** @throws OperationOutcomeError 400 */
export function checkFile(filename: string | undefined, contentType: string | undefined): void {
  const name = filename?.toLowerCase() ?? '';
  if (EXTENSIONS.some((extension) => name.endsWith(`.${extension}`))) {
    throw new OperationOutcomeError(badRequest('Invalid file extension'));
  }
  if (contentType && CONTENT_TYPES.includes(contentType.toLowerCase())) {
    throw new OperationOutcomeError(badRequest('Invalid content type'));
  }
}
