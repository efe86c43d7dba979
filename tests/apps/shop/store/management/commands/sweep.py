from django.core.management.base import BaseCommand

from store.models import Sweep
from store.release import RELEASE


class Command(BaseCommand):
    help = "What a timer runs: notes which release did it."

    def handle(self, *args, **options):
        Sweep.objects.create(release=RELEASE)
        self.stdout.write(f"swept by release {RELEASE}")
