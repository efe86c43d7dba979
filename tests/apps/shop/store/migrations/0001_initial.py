from django.db import migrations, models

KEY = models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", KEY),
                ("name", models.CharField(max_length=100, unique=True)),
                ("file", models.FileField(upload_to="")),
                ("digest", models.CharField(max_length=64)),
                ("measured_by", models.CharField(db_default="", max_length=20)),
            ],
        ),
        migrations.CreateModel(
            name="Sweep",
            fields=[("id", KEY), ("release", models.CharField(max_length=20))],
        ),
    ]
