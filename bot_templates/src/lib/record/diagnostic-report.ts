import type { DiagnosticReport, Observation } from '@medplum/fhirtypes';
import { referencedId } from '../ids.ts';
import { readAttached } from './attached.ts';
import { conceptText, conceptWords, dayOf, labelled, listed, periodText } from './datatypes.ts';
import { resultText } from './observation.ts';
import type { RecordSources, RecordText, Skipped } from './record-text.ts';

/** Results of one report that are put in words. */
const MOST_RESULTS = 30;

/** A DiagnosticReport in words, with its results and its presented form. */
export async function diagnosticReportText(
  report: DiagnosticReport,
  sources: Pick<RecordSources, 'attachment' | 'observations'>
): Promise<RecordText> {
  const skipped: Skipped[] = [];
  const results = await reportResults(report, sources, skipped);
  const owner = { record: `DiagnosticReport/${report.id}`, patient: report.subject?.reference };
  const attached = await readAttached(report.presentedForm ?? [], owner, sources, skipped);
  return {
    date: dayOf(report.effectiveDateTime ?? report.effectivePeriod?.start ?? report.issued),
    sections: [
      {
        title: 'Report',
        contentType: 'structured',
        text: labelled([
          ['Report', conceptText(report.code)],
          ['Category', conceptWords(report.category)],
          ['Status', report.status],
          ['Conclusion codes', listed((report.conclusionCode ?? []).map(conceptText))],
          ['Date', report.effectiveDateTime ?? periodText(report.effectivePeriod)],
          ...attached.unread,
        ]),
      },
      { title: 'Conclusion', contentType: 'note', text: report.conclusion ?? '' },
      { title: 'Results', contentType: 'structured', text: results.map(resultText).join('\n\n') },
      ...attached.sections,
    ],
    skipped,
  };
}

async function reportResults(
  report: DiagnosticReport,
  sources: Pick<RecordSources, 'observations'>,
  skipped: Skipped[]
): Promise<Observation[]> {
  const references = (report.result ?? []).map((result) => result.reference);
  const taken = references.slice(0, MOST_RESULTS);
  if (references.length > taken.length) {
    skipped.push({ reason: `${references.length - taken.length} of ${references.length} results are too many` });
  }
  const contained = taken.flatMap((reference) =>
    (report.contained ?? []).filter(
      (resource) => resource.resourceType === 'Observation' && `#${resource.id}` === reference
    )
  ) as Observation[];
  const ids = taken.map((reference) => referencedId(reference, 'Observation')).filter((id) => id !== undefined);
  const found = [...contained, ...(ids.length > 0 ? await sources.observations(ids) : [])];
  if (found.length < taken.length) {
    skipped.push({ reason: `${taken.length - found.length} of ${references.length} results could not be read` });
  }
  const own = found.filter((observation) => isOfSubject(observation, report));
  if (own.length < found.length) {
    skipped.push({ reason: `${found.length - own.length} of ${references.length} results are of another patient` });
  }
  return own.filter((observation) => observation.status !== 'entered-in-error' && observation.status !== 'cancelled');
}

/** A report may refer to anybody's results: another patient's must not be found in this one's record. */
function isOfSubject({ subject }: Observation, report: DiagnosticReport): boolean {
  // A contained result need not repeat of whom it is.
  return subject?.reference === undefined || subject.reference === report.subject?.reference;
}
