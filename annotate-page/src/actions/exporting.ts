// An export from its start to the file; the server writes it meanwhile.
import { api } from "../net/api";
import type { ExportJob, ExportOptions, Id } from "../types";

/**
 * The file's content and name. `watch` is told how far it is. Whatever happens, nothing of it
 * stays on the server.
 */
export async function exported(
  image: Id,
  options: ExportOptions,
  cancelled: AbortSignal,
  watch: (job: ExportJob) => void,
): Promise<{ content: Blob; name: string }> {
  let job = await api.startExport(image, options);
  try {
    for (let pause = 100; job.state === "running"; pause = Math.min(2 * pause, 1000)) {
      watch(job);
      await sleep(pause, cancelled);
      if (cancelled.aborted) throw new Error("The export was cancelled");
      job = await api.exportState(job.id);
    }
    if (job.state !== "done") throw new Error(job.error ?? "The export was cancelled");
    const response = await api.exportedFile(job.id);
    return { content: await response.blob(), name: job.name ?? `objects.${options.format}` };
  } finally {
    api.removeExport(job.id).catch(() => undefined); // the server forgets it by itself as well
  }
}

function sleep(milliseconds: number, cancelled: AbortSignal): Promise<void> {
  return new Promise((done) => {
    if (cancelled.aborted) return done();
    const timer = setTimeout(done, milliseconds);
    cancelled.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}
