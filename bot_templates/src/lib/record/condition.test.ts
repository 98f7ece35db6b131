import { describe, expect, test } from 'vitest';
import { condition } from '../../../test/support/records.ts';
import { nothing, sectionsOf } from '../../../test/support/sections.ts';
import { recordText } from './record-text.ts';

describe('a Condition', () => {
  test('tells status, severity, onset, abatement and notes', async () => {
    const resource = condition('Asthma', {
      clinicalStatus: { coding: [{ code: 'resolved' }] },
      verificationStatus: { coding: [{ code: 'confirmed', display: 'Confirmed' }] },
      severity: { text: 'Moderate' },
      bodySite: [{ text: 'Lung' }],
      abatementDateTime: '2024-05-01',
      note: [{ text: 'Since childhood.' }],
    });
    expect(await sectionsOf(resource)).toEqual({
      Condition: [
        'Condition: Asthma',
        'Clinical status: resolved',
        'Verification: Confirmed',
        'Severity: Moderate',
        'Body site: Lung',
        'Onset: 2024-03-01',
        'Abatement: 2024-05-01',
      ].join('\n'),
      Note: 'Since childhood.',
    });
  });

  test.each([
    [{ onsetAge: { value: 12, unit: 'a' } }, 'Onset: at the age of 12 a'],
    [{ onsetPeriod: { start: '2020', end: '2021' } }, 'Onset: 2020 to 2021'],
    [{ onsetRange: { low: { value: 10 }, high: { value: 12 } } }, 'Onset: 10 to 12'],
    [{ onsetString: 'as a child' }, 'Onset: as a child'],
    [{ abatementAge: { value: 20, unit: 'a' } }, 'Abatement: at the age of 20 a'],
    [{ abatementString: 'in spring' }, 'Abatement: in spring'],
  ])('tells %j', async (when, line) => {
    const resource = condition('Asthma', when);
    delete resource.onsetDateTime;
    expect((await sectionsOf(resource)).Condition).toContain(line);
  });

  test('has the day of its onset, else of its record', async () => {
    const resource = condition('Asthma', { recordedDate: '2024-06-07T00:00:00Z' });
    expect((await recordText(resource, nothing)).date).toBe('2024-03-01');
    delete resource.onsetDateTime;
    expect((await recordText(resource, nothing)).date).toBe('2024-06-07');
  });
});
