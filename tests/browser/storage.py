"""Browsers that keep nothing: scripts for `page.add_init_script`."""

BLOCKED = """
    for (const area of ["localStorage", "sessionStorage"]) {
      Object.defineProperty(window, area, {
        get() { throw new DOMException("The reader forbids it", "SecurityError"); },
      });
    }
"""
FULL = """
    Storage.prototype.setItem = () => {
      throw new DOMException("There is no room", "QuotaExceededError");
    };
"""
