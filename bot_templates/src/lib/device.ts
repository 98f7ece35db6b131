import type { Device } from '@medplum/fhirtypes';
import { searchPage } from './fhir.ts';
import type { BotRun } from './run.ts';

/**
 * The Device that stands for a model alias: the author of what the model wrote. A deploy makes one for each alias.
 * @returns `Device/id`; undefined when there is none, or the run may not see it.
 */
export async function deviceOf(run: BotRun, alias: string): Promise<string | undefined> {
  const query = new URLSearchParams({ identifier: `${run.namespace}/device|${alias}`, _count: '1', _fields: 'identifier' });
  try {
    const page = await searchPage<Device>(run.medplum, 'Device', query.toString(), 'NOT_CONFIGURED');
    const id = page.entry?.[0]?.resource?.id;
    return id === undefined ? undefined : `Device/${id}`;
  } catch {
    return undefined;
  }
}
